/** A process that does nothing but wait: how late its timers are is the machine's doing. */
const EVERY_MS = 5;
const lateMs: number[] = [];
let dueMs = performance.now() + EVERY_MS;
const tick = (): void => {
  const nowMs = performance.now();
  lateMs.push(nowMs - dueMs);
  dueMs = nowMs + EVERY_MS;
  setTimeout(tick, EVERY_MS);
};
setTimeout(tick, EVERY_MS);
process.on('message', (said) => {
  if (said === 'begin') {
    lateMs.length = 0;
    return;
  }
  process.send?.(lateMs);
  process.disconnect?.();
  process.exit();
});

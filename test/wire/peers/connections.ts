/**
 * What connections that come and go leave behind in a process of their own, which says it as JSON. Needs `--expose-gc`.
 * Arguments: the port where nobody answers, the port of a meter, how many connections.
 */
import { realClock as clock } from '../../../host/clock.ts';
import { makeLines } from '../../../host/line.ts';
import { makeNet } from '../../../host/net.ts';
import { seededRandom } from '../../../host/random.ts';
import { asFault } from '../../../protocols/faults.ts';

const UNANSWERED = 50;
const host = '127.0.0.1';
const [silentPort = 0, meterPort = 0, connections = 0] = process.argv.slice(2).map(Number);
const net = makeNet(clock);
const held = (): number => process.getActiveResourcesInfo().filter((kind) => /TCP|Timeout/.test(kind)).length;

/** How many sockets and timers there are more than before, once what ends them had time to come. */
async function left(before: number): Promise<number> {
  for (let turn = 0; turn < 500 && held() > before; turn += 1)
    await new Promise((resolve) => setTimeout(resolve, 10));
  return held() - before;
}

async function unanswered(): Promise<{ readonly timedOut: number; readonly left: number }> {
  const before = held();
  const codes = await Promise.all(
    Array.from({ length: UNANSWERED }, () =>
      net.open({ host, port: silentPort }, { timeoutMs: 100 }).then(
        (connection) => {
          connection.destroy();
          return 'connected';
        },
        (error: unknown) => asFault(error).code,
      ),
    ),
  );
  return { timedOut: codes.filter((code) => code === 'NET_TIMEOUT').length, left: await left(before) };
}

/** A line of its own each: connect, read, close. */
async function comeAndGo(times: number): Promise<void> {
  for (let n = 0; n < times; n += 1) {
    const lines = makeLines({ net, clock, random: seededRandom(n) });
    const line = lines.line({ framing: 'tcp', host, port: meterPort });
    await line.read({ unit: 1, fc: 3, address: 0, count: 10, deadlineMs: clock.monoMs() + 20_000 });
    lines.close();
  }
}

const heapBytes = async (): Promise<number> => {
  await left(before);
  for (let n = 0; n < 3; n += 1) globalThis.gc?.();
  return process.memoryUsage().heapUsed;
};

const silent = await unanswered();
const before = held();
// Code and caches are warm after the first.
await comeAndGo(connections / 5);
const firstBytes = await heapBytes();
await comeAndGo(connections);
const grownBytes = (await heapBytes()) - firstBytes;
const isCollected = globalThis.gc !== undefined;
process.stdout.write(`${JSON.stringify({ silent, isCollected, grownBytes, left: await left(before) })}\n`);

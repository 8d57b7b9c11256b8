import type { Disk } from '../host/deps.ts';

const MOST_BOOT = 2 ** 32 - 1;
const MOST_BYTES = 200;

/**
 * Number of this start: the time in seconds, or one more than the start before when the clock is behind it. Two starts
 * of one number would take each other's records for their own. Rejects with the disk's fault: then the time must do.
 */
export async function nextBoot(disk: Disk, path: string, wallMs: number): Promise<number> {
  const before = parse(await disk.read(path));
  const boot = Math.min(MOST_BOOT, Math.max(Math.floor(wallMs / 1_000), before + 1));
  await disk.replace(path, new TextEncoder().encode(`${JSON.stringify({ boot })}\n`));
  return boot;
}

/** The number in the file; a file that is damaged says nothing. */
function parse(bytes: Uint8Array | undefined): number {
  try {
    const value: unknown = JSON.parse(
      new TextDecoder().decode((bytes ?? new Uint8Array()).subarray(0, MOST_BYTES)),
    );
    const boot = typeof value === 'object' && value !== null && 'boot' in value ? value.boot : undefined;
    return typeof boot === 'number' && Number.isSafeInteger(boot) && boot >= 0 && boot < MOST_BOOT ? boot : 0;
  } catch {
    return 0;
  }
}

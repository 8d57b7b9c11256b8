/**
 * What gives way as a disk fills, in this order: debug lines, then telemetry, so that commands, audit and the utility's
 * events never have to. Whoever writes looks at the stage; here it is told from the free space.
 */
import type { Clock, Disk, DiskSpace } from './deps.ts';

/** `low`: debug lines are left out. `short`: telemetry is thinned. `full`: of machines it is not written any more. */
export const ROOMS = ['ample', 'low', 'short', 'full'] as const;
export type DiskRoom = (typeof ROOMS)[number];

/** From this share of the disk on, used. */
const FROM = { ample: 0, low: 0.9, short: 0.95, full: 0.99 } as const;
/** A stage is left when so much less is used. */
const BACK = 0.01;

export const usedShare = ({ totalBytes, freeBytes }: DiskSpace): number =>
  totalBytes > 0 ? 1 - freeBytes / totalBytes : 1;

/** The stage now; `before`: that of the look before. */
export function diskRoom(before: DiskRoom, used: number): DiskRoom {
  const stage = (share: number): DiskRoom => ROOMS.findLast((room) => share >= FROM[room]) ?? 'ample';
  const now = stage(used);
  const held = stage(used + BACK);
  // Not back and forth at the mark.
  return ROOMS.indexOf(before) > ROOMS.indexOf(now) && ROOMS.indexOf(before) <= ROOMS.indexOf(held)
    ? before
    : now;
}

const LOOK_MS = 10_000;

export interface DiskWatch {
  readonly room: DiskRoom;
  stop(): void;
}

/** Looks at the free space where `path` stands, every 10 s; a disk that does not tell has room. */
export function watchDisk({
  disk,
  clock,
  path,
  onRoom,
}: {
  readonly disk: Pick<Disk, 'space'>;
  readonly clock: Clock;
  readonly path: string;
  /** The stage is another one. */
  readonly onRoom: (room: DiskRoom, used: number) => void;
}): DiskWatch {
  let room: DiskRoom = 'ample';
  let stopped = false;
  let cancel: (() => void) | undefined;
  const look = async (): Promise<void> => {
    // What cannot be asked will not be written either, and that is said where it is written.
    const space = await disk.space(path).catch(() => undefined);
    if (stopped) return;
    const used = space === undefined ? 0 : usedShare(space);
    const now = diskRoom(room, used);
    if (now !== room) {
      room = now;
      onRoom(now, used);
    }
    cancel = clock.after(LOOK_MS, () => void look());
  };
  void look();
  return {
    get room() {
      return room;
    },
    stop: () => {
      stopped = true;
      cancel?.();
    },
  };
}

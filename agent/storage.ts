import type { Site } from '../config/site.ts';
import type { Deps } from '../host/deps.ts';
import { watchDisk } from '../host/disk-room.ts';
import type { DiskRoom } from '../host/disk-room.ts';
import { spoolAlarms } from './alarms.ts';
import type { Alarms } from './alarms.ts';
import { makeKeeper } from './kept.ts';
import type { Keeper } from './kept.ts';
import { makeSpool } from './spool.ts';
import type { Spool } from './spool.ts';

export interface StorageOptions {
  readonly site: Site;
  readonly agent: string;
  readonly boot: number;
  readonly deps: Pick<Deps, 'disk' | 'clock' | 'bus' | 'log'>;
  readonly dataDir: string;
}

/** All that an agent has on its disk; what it does as that fills. */
export interface Storage {
  readonly spool: Spool;
  readonly keeper: Keeper;
  stop(): Promise<void>;
}

const MIB = 1_024 * 1_024;
const DAY_MS = 86_400_000;

const MEANS: Readonly<Record<DiskRoom, string>> = {
  ample: 'there is room again',
  low: 'debug lines are left out',
  short: 'debug lines are left out, and readings that wait on it are thinned',
  full: 'readings of machines wait in memory only, and are let go when that has no room',
};

export function openStorage({ site, agent, boot, deps, dataDir }: StorageOptions, alarms: Alarms): Storage {
  const { disk, clock, bus, log } = deps;
  const watch = watchDisk({
    disk,
    clock,
    path: `${dataDir}/agent-${agent}`,
    onRoom: (room, used) => {
      const text = `${Math.floor(used * 100)} % of the disk below ${dataDir} are used: ${MEANS[room]}`;
      log.dropDebug?.(room !== 'ample');
      log.info({ used, room }, 'disk');
      // Ended and begun again: its words say what has given way so far.
      alarms.clear('DISK_LOW', agent, text);
      if (room !== 'ample') alarms.raise('DISK_LOW', agent, text);
    },
  });
  const { diskMiB, memoryMiB, days, backlogKiBPerS } = site.config.spool;
  const spool = makeSpool({
    bus,
    clock,
    disk,
    site: site.id,
    agent,
    boot,
    prefix: `${dataDir}/agent-${agent}.spool-`,
    limits: { diskBytes: diskMiB * MIB, memoryBytes: memoryMiB * MIB, ageMs: days * DAY_MS },
    diskRoom: () => watch.room,
    backlogBytesPerS: backlogKiBPerS * 1_024,
    alarms: spoolAlarms(alarms, agent),
  });
  const keeper = makeKeeper({ disk, clock, alarms, agent, dataDir });
  return {
    spool,
    keeper,
    stop: () => {
      watch.stop();
      keeper.stop();
      return spool.stop();
    },
  };
}

/** The wall clock of a real process jumps; its monotonic clock goes on, as it does when somebody sets the time. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { closeAll, until } from '../wire/site-rigs.ts';
import { bodies, carried, makeYard, peer, withMosquitto } from './rigs.ts';
import type { Said } from './rigs.ts';

afterEach(closeAll);

/** Debian's libfaketime for programs with threads. */
function fakeTime(): string | undefined {
  for (const folder of readdirSync('/usr/lib')) {
    const place = join('/usr/lib', folder, 'faketime', 'libfaketimeMT.so.1');
    try {
      readdirSync(join(place, '..'));
      return place;
    } catch {
      continue;
    }
  }
  return undefined;
}

const HOUR_S = 3_600;
const STEPS_S = [HOUR_S, -HOUR_S, 24 * HOUR_S, -24 * HOUR_S];
const preload = fakeTime();

/** What the clock of a speaker shows beyond ours, s, by the last thing of a kind that it said. */
const aheadS = (said: readonly Said[], kind: string): number => {
  const last = said.findLast((one) => one.kind === kind);
  return last === undefined ? Number.NaN : (Number(last.body['atMs']) - last.atMs) / 1_000;
};

it.skipIf(!withMosquitto() || !peer('libfaketime', preload !== undefined))(
  'clocks of controller and agent jump by hours and days, away from each other: no command, no lease change',
  async () => {
    const yard = await makeYard();
    const { site, said } = yard;
    const clockOf = (who: string): { env: Record<string, string>; set: (offsetS: number) => void } => {
      const file = join(site.folder, `${who}.time`);
      const set = (offsetS: number): void => writeFileSync(file, `${offsetS < 0 ? '' : '+'}${offsetS}s\n`);
      set(0);
      return {
        set,
        env: {
          LD_PRELOAD: preload ?? '',
          FAKETIME_TIMESTAMP_FILE: file,
          FAKETIME_NO_CACHE: '1',
          DONT_FAKE_MONOTONIC: '1',
        },
      };
    };
    const clocks = { agent: clockOf('agent'), controller: clockOf('controller') };
    yard.agent({ env: clocks.agent.env });
    yard.controller({ env: clocks.controller.env });
    await yard.underControl();
    const beforeKw = await site.mainKw();
    const commanded = carried(said).length;
    const generations = (): unknown => bodies(said, 'lease').at(-1)?.['racks'];
    const before = generations();
    const since = said.length;

    // Both at once, and away from each other.
    for (const offsetS of [...STEPS_S, 0]) {
      clocks.controller.set(offsetS);
      clocks.agent.set(-offsetS);
      await until(
        'both clocks have jumped',
        30_000,
        () =>
          Math.abs(aheadS(said, 'lease') - offsetS) < 60 && Math.abs(aheadS(said, 'status') + offsetS) < 60,
      );
      // Longer than the T1 of this site: a lease that hung on the wall clock would be over.
      const beats = bodies(said, 'lease').length;
      await until('beats go on', 30_000, () => bodies(said, 'lease').length > beats + 6);
    }
    const phases = new Set(bodies(said.slice(since), 'status').map((body) => body['phase']));
    expect([...phases]).toEqual(['live']);
    expect(new Set(bodies(said.slice(since), 'lease').map((body) => body['epoch']))).toEqual(new Set([1]));
    expect(carried(said).slice(commanded)).toEqual([]);
    expect(generations()).toEqual(before);
    expect(await site.mainKw()).toBeGreaterThan(beforeKw * 0.95);
  },
  240_000,
);

import { expect, test } from 'vitest';
import { step } from '../../../../controller/core/step.ts';
import type { Lease } from '../../../../protocols/mqtt/desired.ts';
import type { Status } from '../../../../protocols/mqtt/status.ts';
import { Plant } from './plant.ts';

const NOW = { wallMs: 2_000_000, monoMs: 900_000 };

/** What a controller does that hears this beat. */
const heard = ({ state }: Plant, beat: Partial<Lease>): string[] =>
  step(
    state,
    { kind: 'beat', beat: { v: 1, site: 's', epoch: 1, seq: 1, atMs: 0, racks: {}, nonces: {}, ...beat } },
    NOW,
  ).map(({ kind }) => kind);

const live = ({ state }: Plant): Record<string, string> =>
  Object.fromEntries([...state.agents].map(([id, { nonce }]) => [id, nonce]));

test('at work it gives way to a newer epoch, also to a beat that was long on its way, and to nobody else', () => {
  const plant = new Plant().run(20);
  expect(plant.state.deciding).toBe(true);
  const { epoch, leaseSeq } = plant.state;
  expect(leaseSeq).toBeGreaterThan(5);
  expect(heard(plant, { epoch: epoch + 1 })).toEqual(['step-down']);
  expect(heard(plant, { epoch, seq: leaseSeq, nonces: live(plant) }), 'its own beat').toEqual([]);
  expect(heard(plant, { epoch, seq: leaseSeq + 50 }), 'no live beat').toEqual([]);
  expect(heard(plant, { epoch: epoch - 1, seq: 1e6, nonces: live(plant) }), 'older').toEqual([]);
});

test('of two with one epoch the one that has beaten less gives way', () => {
  const plant = new Plant().run(20);
  const { epoch, leaseSeq } = plant.state;
  expect(heard(plant, { epoch, seq: leaseSeq + 50, nonces: live(plant) })).toEqual(['step-down']);
  expect(heard(plant, { epoch, seq: leaseSeq - 5, nonces: live(plant) })).toEqual([]);
});

test('before it decides it gives way to whoever is at work, and not to what is left on the way', () => {
  const plant = new Plant().run(20).restart(2);
  plant.utilitySpeaks = false;
  plant.run(1);
  expect(plant.state).toMatchObject({ deciding: false, epoch: 2 });
  expect(heard(plant, { epoch: 1, seq: 99, nonces: { a1: 'n1000' } }), 'late, its own of before').toEqual([]);
  expect(heard(plant, { epoch: 1, seq: 99, nonces: live(plant) })).toEqual(['step-down']);
});

test('a start is made above what the agents have obeyed; at work the epoch stays', () => {
  const plant = new Plant();
  const say = (fields: Partial<Status>): void => {
    const status = {
      agent: 'a1',
      boot: 1,
      online: true,
      phase: 'starting',
      nonce: 'n',
      guarding: [],
      ...fields,
    };
    plant.take({ kind: 'status', status: status as unknown as Status });
  };
  say({ epoch: 7, online: false });
  expect(plant.state.epoch).toBe(1);
  say({ epoch: Number.MAX_SAFE_INTEGER });
  expect(plant.state.epoch).toBe(1);
  say({ epoch: 7 });
  expect(plant.state.epoch).toBe(8);
  expect(plant.records.filter((record) => record.t === 'start').map(({ epoch }) => epoch)).toEqual([1, 8]);
  say({ epoch: 7 });
  expect(plant.state.epoch).toBe(8);
  plant.run(20);
  expect(plant.state.deciding).toBe(true);
  expect(plant.desired.every(({ epoch }) => epoch === 8)).toBe(true);
  say({ epoch: 20 });
  expect(plant.state.epoch).toBe(8);
});

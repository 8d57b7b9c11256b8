import { expect, test } from 'vitest';
import { MODELS } from '../../../config/models.ts';
import { siteSchema } from '../../../config/schema/site.ts';
import { resolveSite } from '../../../config/site.ts';
import { seededRandom } from '../../../host/random.ts';
import { decodeAnswer, encodeRequest } from '../../../protocols/modbus/frame.ts';
import type { ReadRequest } from '../../../protocols/modbus/frame.ts';
import { harnessSite } from '../../../proof/site.ts';
import { simulatedSite } from '../../../simulator/site.ts';
import { makeWorld } from '../../../simulator/world.ts';

/** The simulated site with a contactor before rack r4 (Whatsminers) and one before r3 (Antminers), below the breaker q1. */
function darkWorld() {
  const input = simulatedSite({ hostKey: `SHA256:${'A'.repeat(43)}`, keyFile: 'keys/site' });
  const target = input.plant?.points?.[0]?.target ?? '';
  const plant = {
    ...input.plant,
    outlets: ['r3', 'r4'].map((node, place) => ({
      id: `k-${node}`,
      node,
      target,
      kind: 'coil' as const,
      address: 40 + place,
    })),
  };
  const site = resolveSite(siteSchema.parse({ ...input, plant }), MODELS);
  const world = makeWorld({ site, random: seededRandom(7), startMs: 0, misbehaving: [] });
  const { hostname, port } = new URL(target);
  const plc = world.endpoints.find((one) => one.host === hostname && one.port === Number(port));
  if (plc?.kind !== 'stream') throw new Error('no PLC');
  const answer = (request: Parameters<typeof encodeRequest>[2], nowMs: number): Uint8Array => {
    const found = plc.device.respond(encodeRequest('tcp', 1, request), nowMs);
    return found.kind === 'bytes' ? found.bytes : new Uint8Array(0);
  };
  return {
    site,
    world,
    trip: (failed: boolean, nowMs: number) => world.apply({ kind: 'plant', part: 'q1', failed }, nowMs),
    write: (address: number, value: number, nowMs: number) =>
      answer({ kind: 'write', unit: 1, fc: 5, address, values: [value] }, nowMs),
    coil: (address: number, nowMs: number): number | undefined => {
      const request: ReadRequest = { kind: 'read', unit: 1, fc: 1, address, count: 1 };
      const decoded = decodeAnswer('tcp', 1, request, answer(request, nowMs));
      return decoded.kind === 'registers' ? decoded.registers[0] : undefined;
    },
    modes: (rack: string, nowMs: number): ReadonlySet<string> => {
      const { modes } = world.truth(nowMs);
      return new Set(site.racks.find(({ id }) => id === rack)?.machines.map((index) => modes[index] ?? ''));
    },
  };
}

test('a contactor gives and takes the power of its rack, and without supply its output alone does nothing', () => {
  const { write, coil, modes, trip } = darkWorld();
  expect(coil(41, 0)).toBe(1);
  write(41, 0, 1_000);
  expect(modes('r4', 2_000)).toEqual(new Set(['off']));
  expect(modes('r3', 2_000)).toEqual(new Set(['mine']));
  trip(true, 3_000);
  write(41, 1, 4_000);
  expect(modes('r4', 5_000)).toEqual(new Set(['off']));
  write(41, 0, 6_000);
  // Power is back: what has its output on starts at once, what has it off waits.
  trip(false, 7_000);
  expect(modes('r3', 8_000)).toEqual(new Set(['mine']));
  expect(modes('r4', 8_000)).toEqual(new Set(['off']));
  write(41, 1, 9_000);
  expect(modes('r4', 10_000)).toEqual(new Set(['mine']));
});

test('a stuck contactor stays as it is, whatever is written', () => {
  const { world, write, modes } = darkWorld();
  world.apply({ kind: 'plant', part: 'k-r4', failed: true }, 0);
  write(41, 0, 1_000);
  expect(modes('r4', 2_000)).toEqual(new Set(['mine']));
  world.apply({ kind: 'plant', part: 'k-r4', failed: false }, 3_000);
  expect(modes('r4', 4_000)).toEqual(new Set(['off']));
});

test('what a GPU host prints ends with its power and does not go on with it', () => {
  const site = harnessSite(20, { feeds: 2 });
  const world = makeWorld({ site, random: seededRandom(7), startMs: 0, misbehaving: [] });
  const host = world.endpoints.find((one) => one.kind === 'ssh');
  if (host?.kind !== 'ssh') throw new Error('no GPU host');
  const watch = (nowMs: number) => {
    const answer = host.device.exec('nvidia-smi --query-gpu=power.draw --format=csv --loop-ms=4000', nowMs);
    return (atMs: number): number | undefined =>
      answer.kind === 'stream' ? answer.lines(atMs).length : undefined;
  };
  const feed = (node: string, up: boolean, atMs: number): void =>
    world.apply({ kind: 'electric-feed', node, up }, atMs);
  const printed = watch(0);
  feed('gpu-row', false, 1_000);
  expect(printed(2_000)).toBeGreaterThan(0);
  feed('gpu-row-b', false, 3_000);
  expect(printed(4_000)).toBe(0);
  feed('gpu-row', true, 5_000);
  expect(printed(400_000)).toBe(0);
  expect(watch(400_000)(404_000)).toBeGreaterThan(0);
});

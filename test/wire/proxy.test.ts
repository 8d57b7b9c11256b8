/** The fault proxy of the chaos tests does what it says, seen from both ends. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { seededRandom } from '../../host/random.ts';
import { startProxy } from '../chaos/proxy.ts';
import type { Proxy } from '../chaos/proxy.ts';

const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** One end of a connection: what it got, and whether it was broken. */
class End {
  got = Buffer.alloc(0);
  pieces = 0;
  state: 'open' | 'ended' | 'closed' = 'open';
  readonly socket: Socket;
  #wake: () => void = () => undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => {
      this.got = Buffer.concat([this.got, bytes]);
      this.pieces += 1;
      this.#wake();
    });
    socket.on('end', () => {
      this.state = 'ended';
      this.#wake();
    });
    socket.on('close', () => {
      this.state = 'closed';
      this.#wake();
    });
  }

  async until(there: () => boolean): Promise<void> {
    while (!there())
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
  }

  text(): string {
    return this.got.toString();
  }
}

/** A server behind the proxy, and what came to it, connection by connection. */
async function rig(): Promise<{
  proxy: Proxy;
  far: End[];
  open: () => Promise<[End, End]>;
  given: string[];
}> {
  const far: End[] = [];
  let arrived: () => void = () => undefined;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    far.push(new End(socket));
    arrived();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const given: string[] = [];
  const proxy = await startProxy({
    target: { host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    random: seededRandom(7),
    onGiven: (_, bytes) => void given.push(bytes.toString()),
  });
  closing.push(
    () => void server.close(),
    () => proxy.close(),
  );
  const open = async (): Promise<[End, End]> => {
    const before = far.length;
    const near = new End(connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true }));
    closing.push(() => void near.socket.destroy());
    while (far.length === before)
      await new Promise<void>((resolve) => {
        arrived = resolve;
      });
    const there = far[before];
    if (there === undefined) throw new Error('nobody came');
    return [near, there];
  };
  return { proxy, far, open, given };
}

/** Waits until the proxy has swallowed so many bytes. */
async function swallowed({ counts }: Proxy, bytes: number): Promise<void> {
  while (counts.swallowed < bytes) await new Promise((resolve) => setImmediate(resolve));
}

test('calm: bytes, ends and nothing else', async () => {
  const { open, given, proxy } = await rig();
  const [near, far] = await open();
  near.socket.end('question');
  await far.until(() => far.state === 'ended');
  expect(far.text()).toBe('question');
  far.socket.end('answer');
  await near.until(() => near.state === 'ended' || near.state === 'closed');
  expect(near.text()).toBe('answer');
  expect(given.join('')).toBe('question');
  expect(proxy.counts).toMatchObject({ connections: 1, bytes: 14, cuts: 0 });
});

test('jitter: within a connection everything stays in order, between connections it does not', async () => {
  const { proxy, open } = await rig();
  proxy.set({ kind: 'jitter', mostMs: 60 });
  const ends = [];
  for (let n = 0; n < 8; n += 1) ends.push(await open());
  const order: number[] = [];
  for (const [n, [near, far]] of ends.entries()) {
    far.socket.once('data', () => order.push(n));
    near.socket.write('a');
    near.socket.write('b');
  }
  for (const [near, far] of ends) {
    near.socket.end('c');
    await far.until(() => far.state === 'ended');
    expect(far.text()).toBe('abc');
  }
  expect(order).toHaveLength(8);
  expect(order).not.toEqual(order.toSorted((a, b) => a - b));
});

test('trickle: whole in the end, in many pieces', async () => {
  const { proxy, open } = await rig();
  proxy.set({ kind: 'trickle', bytes: 3, everyMs: 2 });
  const [near, far] = await open();
  const text = 'a message that nobody gets in one piece';
  near.socket.end(text);
  await far.until(() => far.state === 'ended');
  expect(far.text()).toBe(text);
  expect(far.pieces).toBeGreaterThan(3);
});

test('delayed bytes that wait go out when the weather turns, none is lost', async () => {
  const { proxy, open } = await rig();
  const [near, far] = await open();
  proxy.set({ kind: 'delay', ms: 20 });
  near.socket.write('late, ');
  near.socket.end('later');
  await far.until(() => far.state === 'ended');
  expect(far.text()).toBe('late, later');
});

test('cut: exactly so many bytes come, then both ends are broken; the next connection is cut again', async () => {
  const { proxy, open } = await rig();
  for (const direction of ['to', 'from'] as const) {
    const [near, far] = await open();
    const [speaker, hearer] = direction === 'to' ? [near, far] : [far, near];
    proxy.set({ kind: 'cut', afterBytes: 5, direction });
    speaker.socket.write('12345678');
    await Promise.all([near.until(() => near.state === 'closed'), far.until(() => far.state === 'closed')]);
    expect(hearer.text()).toBe('12345');
    proxy.set({ kind: 'calm' });
  }
  expect(proxy.counts.cuts).toBe(2);
});

test('swallow: one direction is dead, the other lives, and nobody is told', async () => {
  const { proxy, open } = await rig();
  const [near, far] = await open();
  proxy.set({ kind: 'swallow', direction: 'to' });
  near.socket.write('never');
  far.socket.write('heard');
  await near.until(() => near.got.length > 0);
  await swallowed(proxy, 5);
  proxy.set({ kind: 'calm' });
  near.socket.write('again');
  await far.until(() => far.got.length > 0);
  expect(far.text()).toBe('again');
  expect([near.state, far.state]).toEqual(['open', 'open']);
});

test('reset: open connections are broken and new ones too; half-open: taken, and nothing comes through', async () => {
  const { proxy, open, far } = await rig();
  const [near] = await open();
  proxy.set({ kind: 'reset' });
  await near.until(() => near.state === 'closed');
  const next = new End(connect(proxy.port, '127.0.0.1'));
  await next.until(() => next.state === 'closed');
  expect(far).toHaveLength(1);
  proxy.set({ kind: 'swallow', direction: 'both' });
  const [quiet, behind] = await open();
  quiet.socket.write('hello?');
  await swallowed(proxy, 6);
  proxy.set({ kind: 'calm' });
  quiet.socket.write('is anybody there?');
  await behind.until(() => behind.got.length > 0);
  expect(behind.text()).toBe('is anybody there?');
});

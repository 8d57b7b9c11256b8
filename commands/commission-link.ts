import { TerminalClient } from '../console/cli/client.ts';
import type { ConsoleLink } from '../console/link.ts';
import type { Clock } from '../host/deps.ts';
import type { ConsoleView } from '../protocols/console/view.ts';
import { Fault } from '../protocols/faults.ts';
import type { Product } from './commission-watch.ts';

/** Longest to a first picture of the site, and back after the connection broke, ms. */
const CONNECT_MS = 20_000;
const AGAIN_MS = 250;

/**
 * The running product by its operator protocol. Rejects with NET_TIMEOUT when nobody answers there and with
 * LOGIN_REFUSED when the code is not taken.
 */
export async function connectProduct(options: {
  readonly url: string;
  readonly code: string | undefined;
  readonly name: string | undefined;
  readonly clock: Clock;
}): Promise<Product & { close(): void }> {
  const { clock } = options;
  const held: { link?: ConsoleLink | undefined; view?: ConsoleView } = {};
  let lost = 'nothing answers';
  let refused: string | undefined;
  const client = new TerminalClient({
    ...options,
    handlers: {
      onView: (next) => {
        held.view = next;
      },
      onReady: (ready) => {
        held.link = ready;
      },
      onLost: (why) => {
        held.link = undefined;
        lost = why;
      },
      onRefused: (why) => {
        refused = why;
      },
    },
  });
  client.start();
  const connected = async (): Promise<ConsoleLink> => {
    const endMs = clock.monoMs() + CONNECT_MS;
    for (;;) {
      if (held.link !== undefined && held.view !== undefined) return held.link;
      if (refused !== undefined) throw new Fault('LOGIN_REFUSED', refused);
      if (clock.monoMs() >= endMs) throw new Fault('NET_TIMEOUT', `${options.url}: ${lost}`);
      await new Promise<void>((resolve) => {
        clock.after(AGAIN_MS, resolve);
      });
    }
  };
  try {
    await connected();
  } catch (error) {
    client.close();
    throw error;
  }
  // Keys stand for one order each, for as long as the controller runs.
  const run = `commission-${options.name ?? ''}-${clock.wallMs()}`;
  let orders = 0;
  return {
    view: () => (held.link === undefined ? undefined : held.view),
    meters: async () => (await (await connected()).request('meters', {})).meters,
    order: async (request) => {
      const open = await connected();
      const preview = await open.request('cmd.preview', { ...request, scope: [...request.scope] });
      const { previewId, hash } = preview;
      if (preview.machines.length > 0)
        await open.request('cmd.execute', { previewId, hash, key: `${run}-${++orders}` });
      return preview;
    },
    note: async ({ phase, racks }) => {
      await (await connected()).request('commission.note', { phase, racks: [...racks] });
    },
    close: () => client.close(),
  };
}

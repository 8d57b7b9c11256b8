/** Serves a mock machine of a tetherto/miningos-wrk-miner-*, unchanged: CHECKOUT OPTIONS. Says `ready` when it listens. */
import { createRequire } from 'node:module';
import * as net from 'node:net';

const [, , checkout = '', options = '{}'] = process.argv;
const { createServer } = createRequire(`${checkout}/`)('./mock/server.js') as {
  createServer: (options: unknown) => unknown;
};
const { host, port } = JSON.parse(options) as { host: string; port: number };
createServer(JSON.parse(options));

// It does not say when it listens.
const knock = (): void => {
  const socket = net.connect({ host, port });
  socket.once('connect', () => {
    socket.destroy();
    process.stdout.write('ready\n');
  });
  socket.once('error', () => setImmediate(knock));
};
knock();

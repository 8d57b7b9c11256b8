import { createServer } from 'node:net';
import { Fault } from '../protocols/faults.ts';

/** A TCP port on 127.0.0.1 that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        address !== null && typeof address === 'object'
          ? resolve(address.port)
          : reject(new Fault('INTERNAL', 'no port')),
      );
    });
  });
}

/** The second number of a loopback network 127.N.x.y on which nobody serves `port` yet: two simulated sites can run side by side. */
export async function freeLoopbackOctet(port: number): Promise<number> {
  for (let octet = 20; octet < 250; octet++) if (await isFree(`127.${octet}.0.1`, port)) return octet;
  throw new Fault('INTERNAL', `port ${port} is taken on every loopback network`);
}

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}

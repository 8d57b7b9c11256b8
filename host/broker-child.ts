import { fstatSync } from 'node:fs';
import { asFault, faultJson } from '../protocols/faults.ts';
import { startBroker } from './broker.ts';
import type { BrokerOptions } from './broker.ts';

/**
 * The embedded broker as a process: `node host/broker-child.ts [port] [host]`, credentials in SWITCHYARD_BROKER_USER
 * and SWITCHYARD_BROKER_PASSWORD. Prints one JSON line when it listens, `{"listening":true,"host","port"}`, or a fault
 * and exits 1. Ends on SIGTERM, SIGINT, or when its parent closes its standard input (a pipe)
 * or IPC channel.
 */
async function main(): Promise<void> {
  const [port = '1883', host = '127.0.0.1'] = process.argv.slice(2);
  const username = process.env['SWITCHYARD_BROKER_USER'];
  const password = process.env['SWITCHYARD_BROKER_PASSWORD'];
  const options: BrokerOptions = {
    host,
    port: Number(port),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  };
  const broker = await startBroker(options);
  process.stdout.write(`${JSON.stringify({ listening: true, host, port: broker.port })}\n`);
  const stop = (): void => {
    broker.close().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  process.once('disconnect', stop);
  // A service manager gives /dev/null, which ends at once; only a parent's pipe says that the parent is there.
  const input = fstatSync(0);
  if (input.isFIFO() || input.isSocket()) {
    process.stdin.once('end', stop);
    process.stdin.resume();
  }
}

main().catch((error: unknown) => {
  process.stdout.write(
    `${JSON.stringify({ listening: false, ...faultJson(asFault(error, 'BUS_OFFLINE')) })}\n`,
  );
  process.exitCode = 1;
});

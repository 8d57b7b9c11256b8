/**
 * Runs the worker of tetherto/miningos-wrk-miner-avalon, unchanged: CHECKOUT HOST PORT STEPS. A step is
 * [method, words...]; prints the answers as one line of JSON.
 */
import { createRequire } from 'node:module';

import { rpcAt } from './miningos-rpc.ts';

type Miner = Record<string, (...words: unknown[]) => Promise<unknown>>;

const [, , checkout = '', host = '', port = '', calls = '[]'] = process.argv;
const AvalonMiner = createRequire(`${checkout}/`)('./workers/lib/miner.js') as new (options: object) => Miner;
const miner = new AvalonMiner({
  socketer: { rpc: () => rpcAt(host, Number(port)) },
  address: host,
  port: Number(port),
  username: 'root',
  password: 'root',
});
const answers: unknown[] = [];
for (const [method = '', ...words] of JSON.parse(calls) as [string, ...unknown[]][]) {
  try {
    answers.push(await miner[method]?.(...words));
  } catch (error) {
    answers.push({ error: String(error) });
  }
}
process.stdout.write(`\n${JSON.stringify(answers)}\n`);
// Its light would put itself out in two minutes.
process.exit();

/**
 * Runs a protocol handler of tetherto/miningos-wrk-miner-whatsminer, unchanged: CHECKOUT FILE HOST PORT PASSWORD STEPS.
 * FILE is below workers/lib/protocols. A step is
 * [method, words...]; prints the answers as one line of JSON.
 */
import { createRequire } from 'node:module';

import { rpcAt } from './miningos-rpc.ts';

type Handler = Record<string, (...words: unknown[]) => Promise<unknown>>;

const [, , checkout = '', file = '', host = '', port = '', password = '', calls = '[]'] = process.argv;
const Api = createRequire(`${checkout}/`)(`./workers/lib/protocols/${file}`) as new (
  options: object,
) => Handler;

const api = new Api({ address: host, port: Number(port), password, rpc: rpcAt(host, Number(port)) });
/** Its handler of API v3 makes tokens and frames, and leaves it to the caller to send a command with them. */
async function write(cmd: string, param: unknown): Promise<unknown> {
  const made = (await api['generateTokenInfo']?.(cmd)) as { token: string; ts: number };
  return api['_framedRequest']?.({ cmd, ts: made.ts, token: made.token, account: 'super', param });
}

const answers: unknown[] = [];
for (const [method = '', ...words] of JSON.parse(calls) as [string, ...unknown[]][]) {
  try {
    answers.push(await (method === 'write' ? write(String(words[0]), words[1]) : api[method]?.(...words)));
  } catch (error) {
    answers.push({ error: String(error) });
  }
}
process.stdout.write(`\n${JSON.stringify(answers)}\n`);

/**
 * Runs the client of hashware/node-cgminer-api, unchanged: CHECKOUT HOST PORT STEPS. A step is [method, words...];
 * prints the answers as one line of JSON. Its `connect` fetches the list of commands from the Internet and is left out:
 * `request` takes any command with the name of its section.
 */
import { createRequire } from 'node:module';

type Client = Record<string, (...words: unknown[]) => Promise<unknown>>;

const [, , checkout = '', host = '', port = '', calls = '[]'] = process.argv;
const { client: CgminerClient } = createRequire(`${checkout}/`)('cgminer-api') as {
  client: new (options: object) => Client;
};
const client = new CgminerClient({ host, port: Number(port) });
const answers: unknown[] = [];
for (const [method = '', ...words] of JSON.parse(calls) as [string, ...unknown[]][]) {
  try {
    answers.push(await client[method]?.(...words));
  } catch (error) {
    answers.push({ error: error instanceof Error ? error.message : JSON.stringify(error) });
  }
}
process.stdout.write(`\n${JSON.stringify(answers)}\n`);

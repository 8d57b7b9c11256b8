/** docs/add-a-meter.md, followed literally: its files, its commands and what it says they print. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';

import { run as checkConfig } from '../../commands/check-config.ts';
import { run as read } from '../../commands/read.ts';
import { realClock } from '../../host/clock.ts';
import { asFault, faultJson } from '../../protocols/faults.ts';
import { encodeException, encodeRead } from '../../protocols/modbus/serve.ts';
import { makeModbusLine } from '../../simulator/devices/modbus-line.ts';
import type { ModbusUnit } from '../../simulator/devices/modbus-line.ts';
import { serveEndpoints } from '../../simulator/fronts/socket.ts';
import { closeAll, freePort, opened } from './modbus-rigs.ts';

const doc = await readFile(new URL('../../docs/add-a-meter.md', import.meta.url), 'utf8');
const COMMANDS: Readonly<Record<string, (argv: string[]) => Promise<number>>> = {
  'check-config': checkConfig,
  read,
};
const METER = '10.20.1.5:502';

let folder = '';
let meterAt = '';

/** The registers of the vendor's list in the document, as its last column says they stood. */
function listed(): Map<number, number> {
  const words = new Map<number, number>();
  for (const [, number, content = ''] of doc.matchAll(/^\| (4\d{4}) \|.*\| `([0-9A-F ]+)` \|$/gm))
    for (const [at, word] of content.split(' ').entries())
      words.set(Number(number) - 40_001 + at, Number.parseInt(word, 16));
  return words;
}

/** The meter of the document: unit 1, only the registers of its list and what lies between those. */
function em40(): ModbusUnit {
  const words = listed();
  return {
    unit: 1,
    answerMs: 1,
    answer: (asked, framing) => {
      const refuse = (exception: number, fc: number): Uint8Array =>
        encodeException(framing, asked.transaction, { unit: 1, fc, exception });
      if (asked.kind === 'refused') return refuse(asked.exception, asked.fc);
      const { request } = asked;
      if (request.kind !== 'read' || request.fc !== 3) return refuse(1, request.fc);
      const { address, count } = request;
      if (count > 50) return refuse(3, 3);
      const inBlock = Math.floor(address / 100) === Math.floor((address + count - 1) / 100);
      if (!inBlock || address < 100) return refuse(2, 3);
      const content = Array.from({ length: count }, (_, at) => words.get(address + at) ?? 0);
      return encodeRead(framing, asked.transaction, request, content);
    },
  };
}

/** What a `console` block says: what was changed in the profile before it, and commands with what they print. */
interface Example {
  readonly edits: readonly (readonly [from: RegExp, to: string])[];
  readonly commands: readonly { readonly argv: readonly string[]; readonly prints: readonly string[] }[];
}

function examples(): Example[] {
  return [...doc.matchAll(/((?:^<!-- if: .* -->\n)*)^```console\n([^]*?)^```$/gm)].map(
    ([, edits = '', text = '']) => ({
      edits: [...edits.matchAll(/^<!-- if: (.*) => (.*) -->$/gm)].map(
        ([, from = '', to = '']) => [new RegExp(from, 'g'), to] as const,
      ),
      commands: text
        .split(/^\$ /m)
        .slice(1)
        .map((part) => {
          const [command = '', ...prints] = part.trimEnd().split('\n');
          const [program, ...argv] = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(
            (match) => match[1] ?? match[2] ?? '',
          );
          expect(program).toBe('./switchyard');
          return { argv, prints };
        }),
    }),
  );
}

const files = new Map(
  [...doc.matchAll(/^```(?:json|yaml) (\S+)\n([^]*?)^```$/gm)].map(([, name = '', text = '']) => [
    name,
    text,
  ]),
);

beforeAll(async () => {
  const port = await freePort();
  meterAt = `127.0.0.1:${port}`;
  const device = makeModbusLine({ framing: 'tcp', units: [em40()] });
  const server = await serveEndpoints([{ host: '127.0.0.1', port, kind: 'stream', device }], {
    clock: realClock,
  });
  opened.push(() => server.close());
});
beforeEach(async () => {
  // A profile is read once in a process: each example has its files in a place of its own.
  folder = await mkdtemp(join(tmpdir(), 'switchyard-add-a-meter-'));
  opened.push(() => rm(folder, { recursive: true, force: true }));
});
afterEach(() => vi.restoreAllMocks());
afterAll(closeAll);

async function printed([name = '', ...rest]: readonly string[]): Promise<string[]> {
  const parts: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((part) => parts.push(String(part)) > 0);
  const argv = rest.map((word) =>
    word.replace(METER, meterAt).replace(/^site\.yaml$|(?<=profile=)meters/, (path) => join(folder, path)),
  );
  try {
    await COMMANDS[name]?.(argv);
  } catch (error) {
    const { code, cause, detail, next } = faultJson(asFault(error));
    parts.push(`${code}: ${cause} (${detail})\nNext: ${next}\n`);
  }
  vi.restoreAllMocks();
  return parts.join('').replaceAll(`${folder}/`, '').replaceAll(meterAt, METER).trimEnd().split('\n');
}

it('has a list, two files and examples', () => {
  expect(listed().size).toBeGreaterThan(25);
  expect([...files.keys()]).toEqual(['meters/acme-em40.json', 'site.yaml']);
  expect(examples().length).toBeGreaterThan(6);
});

it.each(examples().map((example, index) => [index + 1, example] as const))(
  'example %i prints what the document says',
  async (_number, { edits, commands }) => {
    for (const [name, text] of files) {
      let edited = text.replaceAll(METER, meterAt);
      if (name.endsWith('.json'))
        for (const [from, to] of edits) {
          expect(edited).toMatch(from);
          edited =
            to === '+1' ? edited.replace(from, (n) => String(Number(n) + 1)) : edited.replace(from, to);
        }
      await mkdir(join(folder, 'meters'), { recursive: true });
      await writeFile(join(folder, name), edited);
    }
    for (const { argv, prints } of commands) {
      const lines = await printed(argv);
      // An ellipsis stands for lines that are left out.
      let from = 0;
      let leftOut = false;
      for (const line of prints) {
        if (line === '…') {
          leftOut = true;
          continue;
        }
        const at = lines.indexOf(line, from);
        expect(at, `'${line}' in\n${lines.join('\n')}`).toBeGreaterThanOrEqual(from);
        if (!leftOut) expect(lines[from]).toBe(line);
        from = at + 1;
        leftOut = false;
      }
      if (!leftOut) expect(lines.slice(from)).toEqual([]);
    }
  },
);

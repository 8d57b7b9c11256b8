import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { fuzzParser, PARSERS } from '../../../proof/asic-fuzz.ts';
import type { Parser } from '../../../proof/asic-fuzz.ts';

const INPUTS = 600;

// The whole of it, with the time each answer takes, is `npm run soak:parsers`.
test.each(Object.entries(PARSERS))('%s: spoiled answers are a value or a fault', (_, parser) => {
  const result = fuzzParser(parser, { inputs: INPUTS, seed: 11, cpuMs: () => 0 });
  expect(result).toMatchObject({ inputs: INPUTS, thrown: 0, unsound: 0, examples: [] });
  expect(result.taken).toBeGreaterThan(INPUTS / 50);
  expect(result.refused).toBeGreaterThan(0);
});

test('a parser that throws or makes up numbers is noticed', () => {
  const seeds = PARSERS['json-body']?.seeds ?? [];
  const fuzz = (parse: Parser['parse']) =>
    fuzzParser({ seeds, parse }, { inputs: 50, seed: 1, cpuMs: () => 0 });
  expect(fuzz((bytes) => JSON.parse(new TextDecoder().decode(bytes)) as null).thrown).toBeGreaterThan(0);
  expect(fuzz(() => Number.NaN)).toMatchObject({ unsound: 50 });
});

test('every parser of answers is tried', () => {
  // What only makes bytes, or is a part of another.
  const others = ['broken-json.ts', 'md5crypt.ts'];
  const files = readdirSync(new URL('../../../protocols/asic/', import.meta.url));
  const tried: Readonly<Record<string, string>> = {
    'avalon.ts': 'avalon',
    'cgminer.ts': 'cgminer',
    'digest.ts': 'digest-challenge',
    'json-body.ts': 'json-body',
    'whatsminer-v3.ts': 'whatsminer-v3',
    'whatsminer.ts': 'whatsminer-reply',
  };
  expect(files.filter((file) => !others.includes(file)).sort()).toEqual(Object.keys(tried).sort());
  for (const parser of Object.values(tried)) expect(PARSERS).toHaveProperty(parser);
});

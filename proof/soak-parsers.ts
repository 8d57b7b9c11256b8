/**
 * `npm run soak:parsers`: 10⁶ spoiled answers of miners into each parser of them. Exits 1 when one throws, gives a value
 * that no JSON can hold, takes more than 50 ms for one answer, or takes hardly anything (then nothing was tried).
 * `--inputs N --seed S --parser NAME`
 */
import { parseArgs } from 'node:util';
import { realClock } from '../host/clock.ts';
import { fuzzParser, PARSERS } from './asic-fuzz.ts';

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    parser: { type: 'string' },
  },
});
const TAKEN_SHARE_MIN = 0.02;
let isBad = false;
const chosen = Object.entries(PARSERS).filter(([name]) => (values.parser ?? name) === name);
if (chosen.length === 0) {
  process.stderr.write(`--parser is one of ${Object.keys(PARSERS).join(', ')}\n`);
  process.exit(2);
}
for (const [name, parser] of chosen) {
  const result = fuzzParser(parser, {
    inputs: Number(values.inputs),
    seed: Number(values.seed),
    nowMs: () => realClock.monoMs(),
  });
  process.stdout.write(`${JSON.stringify({ parser: name, ...result })}\n`);
  const { thrown, unsound, overLimit, taken, inputs } = result;
  isBad ||= thrown + unsound + overLimit > 0 || !(taken >= inputs * TAKEN_SHARE_MIN);
}
process.exitCode = isBad ? 1 : 0;

/** `npm run soak:parsers`: spoiled answers of miners into each parser of them; exits 1 on what `HELP` names. */
import { fuzzParser, PARSERS } from './asic-fuzz.ts';
import { misused, optionsOrHelp } from './soak-options.ts';

const names = Object.keys(PARSERS).join(', ');
const HELP = `npm run soak:parsers -- [--inputs N] [--seed S] [--parser NAME]

Gives N spoiled answers of miners (without options 1000000) to each of these: ${names}.
Exits 1 when one throws, gives a value that no JSON can hold, takes more than 50 ms of CPU for one answer (the least of
three tries), or takes hardly anything (then nothing was tried).
`;
const TAKEN_SHARE_MIN = 0.02;
const values = optionsOrHelp(HELP, {
  inputs: { type: 'string', default: '1000000' },
  seed: { type: 'string', default: '1' },
  parser: { type: 'string' },
});
const [inputs, seed] = [Number(values.inputs), Number(values.seed)];
if (!Number.isInteger(inputs) || inputs < 1 || !Number.isInteger(seed))
  misused('--inputs is a count from 1, --seed a whole number', HELP);
const chosen = Object.entries(PARSERS).filter(([name]) => (values.parser ?? name) === name);
if (chosen.length === 0) misused(`--parser is one of ${names}`, HELP);

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

let isBad = false;
for (const [name, parser] of chosen) {
  const result = fuzzParser(parser, { inputs, seed, cpuMs });
  process.stdout.write(`${JSON.stringify({ parser: name, ...result })}\n`);
  const { thrown, unsound, overLimit, taken } = result;
  isBad ||= thrown + unsound + overLimit > 0 || !(taken >= inputs * TAKEN_SHARE_MIN);
}
process.exitCode = isBad ? 1 : 0;

import { realClock } from '../../host/clock.ts';
import { seededRandom } from '../../host/random.ts';
import { makeMeter } from '../../simulator/devices/meter.ts';
import { makeModbusLine } from '../../simulator/devices/modbus-line.ts';
import { serveEndpoints } from '../../simulator/fronts/socket.ts';

/** A serial gateway with meters behind it, in a process of its own, at the pace of its line. `dead`: a unit, 0 for none. */
const [port = 0, meters = 0, baud = 0, answerMs = 0, dead = 0] = process.argv.slice(2).map(Number);
const units = Array.from({ length: meters }, (_, index) =>
  makeMeter({
    unit: index + 1,
    layout: 'sdm630',
    powerW: () => 90_000,
    random: seededRandom(index + 1),
    answerMs,
  }),
);
for (const meter of units) if (meter.unit === dead) meter.fault = 'silent';
const device = makeModbusLine({ framing: 'rtu', units, pace: { baud, bitsPerChar: 10 } });
await serveEndpoints([{ kind: 'stream', host: '127.0.0.1', port, device }], { clock: realClock });
process.send?.('ready');

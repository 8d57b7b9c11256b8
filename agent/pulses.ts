import type { PlantPoint } from '../config/schema/plant.ts';
import type { Revenue } from '../config/schema/revenue.ts';
import type { CounterRules } from '../protocols/metering/counter.ts';

type Pulses = NonNullable<Revenue['pulses']>;

/** A pulse counter on a remote I/O, and what it counts. */
export interface PulseInput {
  readonly point: PlantPoint;
  readonly whPerCount: number;
  readonly rules: CounterRules;
}

const BITS = { uint16: 16, uint32: 32, uint64: 64 } as const;

/** The pulse inputs of a meter, import first; none when it has none. */
export function pulseInputs(meter: string, pulses: Pulses | undefined, mostW: number): PulseInput[] {
  if (pulses === undefined) return [];
  const { target, periodMs } = pulses;
  const of = (name: string, counter: Pulses['import']): PulseInput => {
    const { kind, address, type, wordOrder } = counter;
    const whPerCount = worthOf(counter);
    return {
      point: {
        id: `${meter}-${name}`,
        target,
        kind,
        address,
        type,
        wordOrder,
        scale: 1,
        offset: 0,
        periodMs,
      },
      whPerCount,
      rules: { moduliWh: [2 ** BITS[type] * whPerCount], stepWh: whPerCount, mostW },
    };
  };
  return [of('import', pulses.import), ...(pulses.export === undefined ? [] : [of('export', pulses.export)])];
}

/** What one count of the register is worth, Wh: of KYZ a pulse is one of the two changes of a cycle. */
function worthOf({ whPerPulse, form, edges }: Pulses['import']): number {
  return form === 'KYZ' && edges === 1 ? 2 * whPerPulse : whPerPulse;
}

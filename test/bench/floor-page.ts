/**
 * What a miner of the floor bench is and says. A mark `<quantity*scale least most decimals>` in an answer is a figure that
 * differs per machine and per poll; with `=` before the quantity it is a setting, which differs per machine alone. Several
 * marks of one quantity stand for the highest of them, one without a name for what no reading is made of.
 */
export interface Family {
  readonly name: string;
  /** Of the racks, %. */
  readonly sharePct: number;
  readonly model: string;
  /** Where its machines listen, each on an address of its own; by the target's option that says the port. */
  readonly doors: Partial<Readonly<Record<'api' | 'http', Door>>>;
  /** It is read behind a password. */
  readonly login?: true;
  /** By command or path, and a word of the query. `fast` is what every poll asks once: so many polls were made. */
  readonly fast: string;
  /** Quantities that it says in every poll, and that are taken from a full one alone. */
  readonly seldom?: RegExp;
  readonly pages: Readonly<Record<string, string>>;
}

export interface Door {
  readonly port: number;
  readonly way: 'tcp' | 'v3' | 'http';
}

export const STATUS =
  '"STATUS":[{"STATUS":"S","When":<* 1790000000 1799999999 0>,"Code":70,"Msg":"ok","Description":"cgminer 1.0.0"}]';
export const list = (count: number, one: (n: number) => string, from = 1): string =>
  Array.from({ length: count }, (_, index) => one(index + from)).join(',');

export const cgminerPools = `{${STATUS},"POOLS":[${list(3, (n) => `{"POOL":${n},"Priority":${n - 1},"Status":"Alive","Accepted":<* 0 99999 0>,"Rejected":<* 0 99 0>,"Stratum Active":${n === 1},"URL":"stratum+tcp://pool${n}.example:3333","User":"site.machine"}`)}],"id":1}`;

/** What a machine said in one answer, in the units of readings. */
export type Said = Readonly<Record<string, number>>;

interface Mark {
  readonly quantity: string;
  /** The same in every answer of a machine. */
  readonly fixed: boolean;
  readonly scale: number;
  readonly least: number;
  readonly steps: number;
  readonly decimals: number;
}

const MARK = /<(=?)([\w.]*)(?:\*(\S*))? (\S+) (\S+) (\d+)>/g;

/** An answer cut at its marks once, so that making one is little work. */
export class Page {
  readonly #texts: readonly string[];
  readonly #marks: readonly Mark[];

  constructor(template: string) {
    const texts: string[] = [];
    const marks: Mark[] = [];
    let end = 0;
    for (const found of template.matchAll(MARK)) {
      const [whole, fixed, quantity = '', scale, least, most, decimals] = found;
      texts.push(template.slice(end, found.index));
      end = found.index + whole.length;
      const places = 10 ** Number(decimals);
      marks.push({
        quantity,
        fixed: fixed === '=',
        scale: scale === undefined || scale === '' ? 1 : Number(scale),
        least: Number(least),
        steps: (Number(most) - Number(least)) * places,
        decimals: Number(decimals),
      });
    }
    texts.push(template.slice(end));
    this.#texts = texts;
    this.#marks = marks;
  }

  /** Figures that differ from answer to answer. */
  get figures(): number {
    return this.#marks.length;
  }

  /** The answer of a machine, numbered `serial`, and with `said` what it said in it. */
  make(machine: number, serial: number, said?: Record<string, number>): string {
    let text = this.#texts[0] ?? '';
    const own = Math.imul(machine + 1, 0x9e3779b1);
    let seed = own ^ Math.imul(serial + 1, 0x85ebca6b);
    for (const [place, { quantity, fixed, scale, least, steps, decimals }] of this.#marks.entries()) {
      seed = Math.imul(seed ^ (seed >>> 15), 0x2c1b3c6d) + 0x6d2b79f5;
      const from = fixed ? own : seed;
      const chance = ((from ^ (from >>> 13)) >>> 0) / 0x1_0000_0000;
      const value = (least + Math.floor(chance * (steps + 1)) / 10 ** decimals).toFixed(decimals);
      text += value + (this.#texts[place + 1] ?? '');
      if (said !== undefined && quantity !== '')
        said[quantity] = Math.max(said[quantity] ?? Number.NEGATIVE_INFINITY, Number(value) * scale);
    }
    return text;
  }
}

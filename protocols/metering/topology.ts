/**
 * Whether machines hang where the site file says, by the meters: some machines of one rack are put to rest and back,
 * and every meter of the site is asked by how much it fell. Says what the meters prove, and what they contradict.
 */

/** What a meter fell by while machines rested, and one standard deviation of that, W. */
export interface Fall {
  readonly watts: number;
  readonly errorW: number;
}

/** Some machines of one rack were at rest and came back. */
export interface Toggle {
  readonly rack: string;
  /** Machine to what it fell by at rest, by its own word, W. */
  readonly fell: ReadonlyMap<number, number>;
  /** As `Wiring.meters`; undefined: not read. */
  readonly falls: readonly (Fall | undefined)[];
}

/** The site file's own word. */
export interface Wiring {
  /** Meters of nodes, not of generation. */
  readonly meters: readonly { readonly id: string; readonly isRoot: boolean }[];
  /** The part of a machine's draw that flows through a meter; 0: the meter is not on its path. */
  readonly share: (machine: number, meter: number) => number;
  /** What one watt of a machine comes to there at most, with the coolers that follow it; 1 without them. */
  readonly growth: (machine: number, meter: number) => number;
  readonly nameOf: (machine: number) => string;
}

export type FindingKind =
  | 'as-expected'
  | 'still'
  | 'other-size'
  | 'reversed'
  /** Moved, though it is not on the path. */
  | 'stray'
  /** Not on the path, and did not move. */
  | 'quiet'
  | 'noisy'
  | 'unread';

/** What one meter showed of a toggle. */
export interface Finding {
  readonly meter: string;
  readonly is: FindingKind;
  readonly onPath: boolean;
  readonly expectedW: number;
  readonly fellW: number | null;
  readonly errorW: number | null;
}

export type VerdictKind =
  | 'confirmed'
  | 'wrong-feeder'
  | 'machine-elsewhere'
  | 'other-size'
  | 'reversed'
  | 'no-meter'
  | 'inconclusive';

export interface Verdict {
  readonly rack: string;
  readonly verdict: VerdictKind;
  readonly text: string;
  readonly findings: readonly Finding[];
  /** Machines that drew through another meter than those above their rack; several when they stand above each other. */
  readonly elsewhere: readonly { readonly machine: string; readonly meter: string }[];
}

/** A change counts from so many standard deviations on. */
const SURE = 4;
/** What a meter and the machines' own words may differ by. */
const TOLERANCE = 0.1;
/** Below this part of what was expected a meter stood still. */
const STILL = 0.1;
/** A meter off the path has seen a machine from this part of the smallest one's draw on. */
const SEEN = 0.5;
/** From this part of all that was switched on, the whole rack hangs there. */
const WHOLE = 0.5;

const kw = (watts: number): string => `${(watts / 1_000).toFixed(2)} kW`;
const sumOf = (values: Iterable<number>): number => {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
};

/** What every meter showed of a toggle. */
export function findingsOf(wiring: Wiring, toggle: Toggle): Finding[] {
  const smallestW = Math.min(...toggle.fell.values());
  return wiring.meters.map(({ id }, meter): Finding => {
    let expectedW = 0;
    let mostW = 0;
    let isSplit = false;
    for (const [machine, watts] of toggle.fell) {
      const share = wiring.share(machine, meter);
      expectedW += watts * share;
      mostW += watts * share * wiring.growth(machine, meter);
      isSplit ||= share > 0 && share < 1;
    }
    const fall = toggle.falls[meter];
    const onPath = expectedW > 0;
    const said = { meter: id, onPath, expectedW, fellW: fall?.watts ?? null, errorW: fall?.errorW ?? null };
    if (fall === undefined) return { ...said, is: 'unread' };
    if (!onPath) return { ...said, is: offPath(fall, smallestW) };
    // Of two feeds each may carry any part that is not nothing: that depends on the machines' power supplies.
    const wholeW = isSplit ? sumOf(toggle.fell.values()) : expectedW;
    return { ...said, is: along(fall, { expectedW, mostW: isSplit ? wholeW : mostW, isSplit }) };
  });
}

function offPath({ watts, errorW }: Fall, smallestW: number): FindingKind {
  const sure = SURE * errorW;
  if (Math.abs(watts) > Math.max(sure, SEEN * smallestW)) return 'stray';
  return sure > SEEN * smallestW ? 'noisy' : 'quiet';
}

function along(
  { watts, errorW }: Fall,
  {
    expectedW,
    mostW,
    isSplit,
  }: { readonly expectedW: number; readonly mostW: number; readonly isSplit: boolean },
): FindingKind {
  const sure = SURE * errorW;
  if (sure > expectedW / 2) return 'noisy';
  if (Math.abs(watts) <= Math.max(sure, STILL * expectedW)) return 'still';
  if (watts < 0) return 'reversed';
  const leastW = isSplit ? STILL * expectedW : expectedW;
  const beyondW = Math.max(leastW - watts, watts - mostW) - TOLERANCE * expectedW;
  if (beyondW <= 0) return 'as-expected';
  return beyondW > sure ? 'other-size' : 'noisy';
}

/** A meter's change as a part of what was expected of it. */
const factorOf = ({ fellW, expectedW }: Finding): number => (fellW ?? 0) / expectedW;

/** The verdict on a rack: of all its toggles, the one with the most machines is judged, the others single out. */
export function judgeRack(wiring: Wiring, toggles: readonly Toggle[], rack: string): Verdict | undefined {
  const own = toggles.filter((toggle) => toggle.rack === rack);
  const whole = largest(own);
  if (whole === undefined) return undefined;
  const findings = findingsOf(wiring, whole);
  const path = findings.filter(({ onPath }) => onPath);
  const strays = findings.filter(({ is }) => is === 'stray');
  const allW = sumOf(whole.fell.values());
  const say = (verdict: VerdictKind, text: string, elsewhere: Verdict['elsewhere'] = []): Verdict => ({
    rack,
    verdict,
    text,
    findings,
    elsewhere,
  });
  const moved = strays.map((one) => `${one.meter} (${kw(one.fellW ?? 0)})`).join(', ');
  if (path.length === 0)
    return say(
      'no-meter',
      strays.length === 0
        ? `no meter stands above ${rack}, and none moved: give it one, or there is nothing that proves its place`
        : `by the site file no meter stands above ${rack}; ${moved} moved by what it switched`,
    );
  const still = path.filter(({ is }) => is === 'still').map(({ meter }) => meter);
  const instead = strays.filter(({ fellW }) => Math.abs(fellW ?? 0) >= WHOLE * allW);
  if (still.length > 0 || instead.length > 0) return say('wrong-feeder', wrongFeeder(rack, still, strays));
  if (strays.length > 0) {
    const { elsewhere } = searchStray(wiring, own);
    return say(
      'machine-elsewhere',
      elsewhereText(wiring, { rack, moved, elsewhere }),
      elsewhere.map(named(wiring)),
    );
  }
  return size(wiring, { rack, toggles, path, say });
}

const named =
  (wiring: Wiring) =>
  ({ machine, meter }: Stray): { machine: string; meter: string } => ({
    machine: wiring.nameOf(machine),
    meter,
  });

function wrongFeeder(rack: string, still: readonly string[], strays: readonly Finding[]): string {
  const named = strays.map(({ meter, fellW }) => `${meter} moved by ${kw(fellW ?? 0)}`).join(', ');
  if (still.length === 0) return `${named}, though by the site file ${rack} is not below it`;
  const stood = `${still.join(' and ')} did not move`;
  return strays.length === 0
    ? `${stood}, and no other meter did in its place: ${rack} hangs where no meter is, or the meter stands still`
    : `${stood}; ${named} in its place: ${rack}, or a meter's address, stands in the wrong place in the site file`;
}

function elsewhereText(
  wiring: Wiring,
  { rack, moved, elsewhere }: { rack: string; moved: string; elsewhere: readonly Stray[] },
): string {
  if (elsewhere.length === 0)
    return `a part of ${rack} shows at ${moved}, which is not above it, and no machine of it could be singled out: look for load that follows it, or test again at a quieter time`;
  const names = elsewhere.map(({ machine, meter }) => `${wiring.nameOf(machine)} draws through ${meter}`);
  return `${names.join(', ')}: not in ${rack} as the site file says`;
}

/** All meters of the path moved: by what they should have? */
function size(
  wiring: Wiring,
  {
    rack,
    toggles,
    path,
    say,
  }: {
    readonly rack: string;
    readonly toggles: readonly Toggle[];
    readonly path: readonly Finding[];
    readonly say: (verdict: VerdictKind, text: string) => Verdict;
  },
): Verdict {
  const reversed = path.filter(({ is }) => is === 'reversed').map(({ meter }) => meter);
  if (reversed.length > 0)
    return say(
      'reversed',
      `${reversed.join(', ')} rose when ${rack} fell: its current transformers are reversed`,
    );
  const off = path.filter(({ is }) => is === 'other-size');
  if (off.length > 0)
    return say('other-size', off.map((one) => sizeText(wiring, toggles, one, path)).join('; '));
  const unread = path.filter(({ is }) => is === 'unread').map(({ meter }) => meter);
  if (unread.length > 0)
    return say('inconclusive', `${unread.join(', ')} gave no usable value: mend it and test again`);
  const noisy = path.filter(({ is }) => is === 'noisy');
  const roots = new Set(wiring.meters.filter(({ isRoot }) => isRoot).map(({ id }) => id));
  // Below the main meter everything hangs: one rack may be too small to show there and is proven by the others.
  const inTheWay = noisy.filter(({ meter }) => path.length === noisy.length || !roots.has(meter));
  const words = noisy.map(
    ({ meter, errorW, expectedW }) =>
      `${meter} cannot tell ${kw(expectedW)} from its noise (${kw(SURE * (errorW ?? 0))})`,
  );
  if (inTheWay.length > 0)
    return say(
      'inconclusive',
      `${words.join(', ')}: test again at a quieter time, with a longer window or more cycles`,
    );
  const proven = path
    .filter(({ is }) => is === 'as-expected')
    .map((one) => `${one.meter} ${factorText(one)}`);
  return say('confirmed', [`proven at ${proven.join(', ')}`, ...words].join('; '));
}

const factorText = (finding: Finding): string => `×${factorOf(finding).toFixed(2)}`;

/** How far apart factors of one meter may be and still be the same. */
const SAME = 0.06;

/** A factor that every toggle below a meter shows is the meter's; one that only some show is the machines'. */
function sizeText(
  wiring: Wiring,
  toggles: readonly Toggle[],
  finding: Finding,
  path: readonly Finding[],
): string {
  const factor = factorOf(finding);
  const shown = `${finding.meter} shows ${factor.toFixed(2)} of the change that was switched`;
  const seen = toggles
    .flatMap((toggle) => findingsOf(wiring, toggle))
    .filter(({ meter, is }) => meter === finding.meter && (is === 'other-size' || is === 'as-expected'))
    .map(factorOf);
  const agreeing = seen.filter((one) => Math.abs(one - factor) <= SAME * Math.max(1, factor));
  const ratio = sumOf(agreeing) / agreeing.length;
  const measured = path.filter(({ fellW, is }) => fellW !== null && is !== 'noisy');
  const everywhere = measured.every((one) => Math.abs(factorOf(one) - factor) <= SAME);
  if (everywhere && measured.length > 1)
    return `${shown}, and so do all meters above: what the machines say they draw is off`;
  if (agreeing.length < seen.length)
    return `${shown}, but not at every toggle: some of these machines hang where no meter is, or say a wrong draw`;
  return agreeing.length > 1
    ? `${shown}; ${agreeing.length} toggles agree: its CT or PT ratio is off by ×${ratio.toFixed(2)}`
    : `${shown}: its CT or PT ratio is off, or some of the machines hang where no meter is`;
}

interface Stray {
  readonly machine: number;
  readonly meter: string;
}

/** Which machines of a rack hang elsewhere, as far as its toggles tell, and which to toggle next to know more. */
interface Search {
  readonly elsewhere: readonly Stray[];
  /** Undefined: nothing more can be learnt. */
  readonly next: readonly number[] | undefined;
}

const keyOf = (machines: Iterable<number>): string => [...machines].sort((a, b) => a - b).join(' ');
const largest = (toggles: readonly Toggle[]): Toggle | undefined =>
  toggles.reduce<Toggle | undefined>(
    (most, one) => (most === undefined || one.fell.size > most.fell.size ? one : most),
    undefined,
  );

/** Halves what moved a foreign meter until single machines are left; of two halves only the first must be toggled. */
function searchStray(wiring: Wiring, toggles: readonly Toggle[]): Search {
  const known = new Map(toggles.map((toggle) => [keyOf(toggle.fell.keys()), toggle]));
  const search = (toggle: Toggle): Search => {
    const findings = findingsOf(wiring, toggle);
    const strays = findings.filter(({ is }) => is === 'stray');
    if (strays.length === 0) return { elsewhere: [], next: undefined };
    const machines = [...toggle.fell.keys()];
    const part = Math.max(...strays.map(({ fellW }) => Math.abs(fellW ?? 0))) / sumOf(toggle.fell.values());
    const none = findings.some(({ is }) => is === 'still');
    const all = strays.length === 1 && (none || part >= 1 - 0.5 / machines.length);
    const meter = strays.map((stray) => stray.meter).join(' and ');
    if (machines.length === 1 || all)
      return { elsewhere: machines.map((machine) => ({ machine, meter })), next: undefined };
    const first = machines.slice(0, Math.ceil(machines.length / 2));
    const half = known.get(keyOf(first));
    if (half === undefined) return { elsewhere: [], next: first };
    const rest = machines.slice(first.length);
    const others = known.get(keyOf(rest)) ?? minus(toggle, half);
    const [a, b] = [search(half), search(others)];
    return { elsewhere: [...a.elsewhere, ...b.elsewhere], next: a.next ?? b.next };
  };
  const whole = largest(toggles);
  return whole === undefined ? { elsewhere: [], next: undefined } : search(whole);
}

/** What a toggle showed without a part of it that was toggled alone. */
function minus(whole: Toggle, part: Toggle): Toggle {
  return {
    rack: whole.rack,
    fell: new Map([...whole.fell].filter(([machine]) => !part.fell.has(machine))),
    falls: whole.falls.map((fall, meter): Fall | undefined => {
      const less = part.falls[meter];
      return fall === undefined || less === undefined
        ? undefined
        : { watts: fall.watts - less.watts, errorW: Math.hypot(fall.errorW, less.errorW) };
    }),
  };
}

/** Machines to toggle next so that the verdict on a rack becomes surer; undefined: it is as sure as it can be. */
export function nextToggle(
  wiring: Wiring,
  toggles: readonly Toggle[],
  rack: string,
): readonly number[] | undefined {
  const own = toggles.filter((toggle) => toggle.rack === rack);
  const verdict = judgeRack(wiring, toggles, rack)?.verdict;
  const whole = largest(own);
  if (verdict === 'machine-elsewhere') return searchStray(wiring, own).next;
  // A second toggle tells a wrong ratio from machines that hang elsewhere, unless other racks below it already do.
  const alone = own.length === 1 && whole !== undefined && whole.fell.size > 1;
  const machines = [...(whole?.fell.keys() ?? [])];
  return verdict === 'other-size' && alone ? machines.slice(0, Math.ceil(machines.length / 2)) : undefined;
}

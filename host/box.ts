import { readdir, readFile, statfs } from 'node:fs/promises';
import { cpus, freemem, totalmem } from 'node:os';
import { join } from 'node:path';

/**
 * What the box this process runs on says of itself, read where the system keeps it: a program started for it would cost
 * an agent of thousands of machines more than hundreds of polls. `undefined`: the system does not say. Where it is no
 * Linux, only load and memory are told; the rest rejects for want of the file.
 */
export interface Box {
  /** Of all cores, since the call before; the first: since boot. */
  loadPct(): Promise<number | undefined>;
  memory(): Promise<{ readonly totalBytes: number; readonly availableBytes: number }>;
  /** Of each local file system that is written to, as `df` counts it. */
  disksUsedPct(): Promise<readonly number[]>;
  network(): Promise<Traffic | undefined>;
  processorC(): Promise<number | undefined>;
}

export interface Traffic {
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export function makeBox(): Box {
  let before = { busy: 0, all: 0 };
  return {
    loadPct: () => {
      const now = { busy: 0, all: 0 };
      for (const { times } of cpus()) {
        const busy = times.user + times.nice + times.sys + times.irq;
        now.busy += busy;
        now.all += busy + times.idle;
      }
      const busy = now.busy - before.busy;
      const all = now.all - before.all;
      before = now;
      return Promise.resolve(all > 0 ? (100 * busy) / all : undefined);
    },
    memory: () => Promise.resolve({ totalBytes: totalmem(), availableBytes: freemem() }),
    disksUsedPct: oneAtATime(readDisks),
    network: oneAtATime(readNetwork),
    processorC: oneAtATime(readProcessor),
  };
}

/** A disk that hangs holds one of the few threads that all file work shares, and not one more with each call. */
function oneAtATime<Answer>(call: () => Promise<Answer>): () => Promise<Answer> {
  let pending: Promise<Answer> | undefined;
  return () => {
    pending ??= call().finally(() => (pending = undefined));
    return pending;
  };
}

async function readDisks(): Promise<number[]> {
  const used: number[] = [];
  for (const folder of localMounts(await readFile('/proc/self/mounts', 'utf8'))) {
    const space = await statfs(folder).catch(() => undefined);
    // Behind a folder that this process may not enter: none of its own.
    if (space === undefined) continue;
    const taken = space.blocks - space.bfree;
    // What is kept back for the system counts as neither.
    if (taken + space.bavail > 0) used.push((100 * taken) / (taken + space.bavail));
  }
  return used;
}

/**
 * Where the local file systems that may be written to are mounted, each once, by a text of `/proc/mounts`. The root
 * always counts: in a container no device is named for it. One over the network is left out: it may hang.
 */
export function localMounts(mounts: string): string[] {
  const folders = new Map<string, string>();
  for (const line of mounts.split('\n')) {
    const [device = '', folder = '', type = '', options = ''] = line.split(' ');
    if (!options.split(',').includes('rw')) continue;
    const isLocal = (device.startsWith('/dev/') && !type.startsWith('fuse.')) || type === 'zfs';
    if ((isLocal || folder === '/') && !folders.has(device)) folders.set(device, unescaped(folder));
  }
  return [...folders.values()];
}

const unescaped = (name: string): string =>
  name.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

async function readNetwork(): Promise<Traffic | undefined> {
  const [devices, routes] = await Promise.all([
    readFile('/proc/net/dev', 'utf8'),
    readFile('/proc/net/route', 'utf8'),
  ]);
  return trafficOf(devices, defaultLink(routes));
}

/** The interface of the default route, by a text of `/proc/net/route`; the least metric wins. */
export function defaultLink(routes: string): string | undefined {
  let best: { readonly link: string; readonly metric: number } | undefined;
  for (const line of routes.split('\n').slice(1)) {
    const [link = '', destination, , , , , metric, mask] = line.split('\t');
    if (destination !== '00000000' || mask !== '00000000') continue;
    if (best === undefined || Number(metric) < best.metric) best = { link, metric: Number(metric) };
  }
  return best?.link;
}

/** Bytes since boot by a text of `/proc/net/dev`: of one interface, or of all but the loopback when none is named. */
export function trafficOf(devices: string, link?: string): Traffic | undefined {
  let found: Traffic | undefined;
  for (const line of devices.split('\n').slice(2)) {
    const [name = '', counts = ''] = line.split(':').map((part) => part.trim());
    if (counts === '' || (link === undefined ? name === 'lo' : name !== link)) continue;
    const columns = counts.split(/\s+/).map(Number);
    found = {
      receivedBytes: (found?.receivedBytes ?? 0) + (columns[0] ?? Number.NaN),
      sentBytes: (found?.sentBytes ?? 0) + (columns[8] ?? Number.NaN),
    };
  }
  return found;
}

/** A sensor as the system labels it. */
export interface Sensor {
  readonly label: string;
  readonly milliC: number;
}

async function readProcessor(): Promise<number | undefined> {
  const chips = await sensorsBelow('/sys/class/hwmon', /^(temp\d+)_label$/, '$1_input');
  const zones = await sensorsBelow('/sys/class/thermal', /^type$/, 'temp');
  return processorOf(chips, zones);
}

/** Every sensor in the folders of a class, with its label; a class or a value that is not there is left out. */
async function sensorsBelow(folder: string, label: RegExp, value: string): Promise<Sensor[]> {
  const found: Sensor[] = [];
  for (const chip of await readdir(folder).catch(() => []))
    for (const file of await readdir(join(folder, chip)).catch(() => [])) {
      if (!label.test(file)) continue;
      const texts = [file, file.replace(label, value)].map((name) =>
        readFile(join(folder, chip, name), 'utf8'),
      );
      const [name, milliC] = await Promise.all(texts).catch(() => []);
      if (name !== undefined && milliC !== undefined)
        found.push({ label: name.trim().toLowerCase(), milliC: Number.parseInt(milliC, 10) });
    }
  return found;
}

/** As the processor itself has it, best first: the die, the package, the mean of the cores; else the board's zone. */
export function processorOf(chips: readonly Sensor[], zones: readonly Sensor[]): number | undefined {
  const single = [/^tdie$/, /^tctl$/, /package|physical/, /^tccd1$/];
  for (const wanted of single) {
    const sensor = chips.find(({ label }) => wanted.test(label));
    if (sensor !== undefined) return sensor.milliC / 1_000;
  }
  const cores = chips.filter(({ label }) => label.startsWith('core'));
  if (cores.length > 0) return cores.reduce((sum, { milliC }) => sum + milliC, 0) / cores.length / 1_000;
  const zone = zones.find(({ label }) => /cpu|x86_pkg/.test(label));
  return zone === undefined ? undefined : zone.milliC / 1_000;
}

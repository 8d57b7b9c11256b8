import type { SiteConfigInput } from '../../config/schema/site.ts';
import { OLDER } from './floor-answers.ts';
import { NEWER } from './floor-newer.ts';
import type { Door, Family } from './floor-page.ts';

/** The mix that the bench declares. */
export const FAMILIES: readonly Family[] = [...OLDER, ...NEWER];
export const PASSWORD_ENV = 'FLOOR_PASSWORD';

export const RACK = 100;
/** Of each rack, the last ones are dead: two are silent, one stops in the middle, two refuse. */
const SILENT = 2;
const HALFWAY = 1;
const REFUSING = 2;
const DEAD_PORT = 24_001;
/** The first so many machines of each rack are watched: 1 %. */
export const WATCHED = 1;

type Life = 'alive' | 'silent' | 'halfway' | 'refusing';

/** What the machine with this place in its rack, from 1, does. */
export function lifeOf(place: number): Life {
  if (place > RACK - REFUSING) return 'refusing';
  if (place > RACK - REFUSING - HALFWAY) return 'halfway';
  return place > RACK - REFUSING - HALFWAY - SILENT ? 'silent' : 'alive';
}

export const isWatched = (place: number): boolean => place <= WATCHED;

/** Rack `r` (from 0) stands at 127.64+.x.1 to 100, so that its machines are known by their addresses. */
const networkOf = (rack: number): string => `127.${64 + (rack >> 8)}.${rack & 255}`;

/** Rack and place of an address. */
export function placeOf(address: string): { readonly rack: number; readonly place: number } {
  const [, high = 0, low = 0, place = 0] = address.split('.').map(Number);
  return { rack: ((high - 64) << 8) | low, place };
}

/** The family of a rack: by share, in turn, so that any number of racks has the mix. */
export function familyOf(rack: number): Family {
  // The golden ratio spreads them evenly over the shares; from here each family has one in the first 36 racks.
  let left = ((0.29 + rack * 0.618_033_988_749_895) % 1) * 100;
  for (const family of FAMILIES) {
    left -= family.sharePct;
    if (left < 0) return family;
  }
  return FAMILIES[0] as Family;
}

export const rackId = (rack: number): string => `r${rack}`;
/** Of a machine by its name. */
export const rackOf = (machine: string): number => Number(/^r(\d+)-/.exec(machine)?.[1]);

/** A site of `racks` racks, all read every 10 s by one agent, which commands nothing. */
export function floorSite(racks: number, broker: string): SiteConfigInput {
  const all = Array.from({ length: racks }, (_, rack) => rack);
  return {
    schema: 1,
    site: 'floor',
    broker: { url: broker, protocol: 4 },
    nodes: [
      { id: 'main', kind: 'site', capKw: racks * 500 },
      ...all.map((rack) => ({ id: rackId(rack), parent: 'main', kind: 'rack' as const, capKw: 500 })),
    ],
    machines: all.flatMap((rack) => {
      const { name, model, doors, login } = familyOf(rack);
      const target = (portOf: (door: Door) => number): string => {
        const ports = Object.entries(doors).map(([option, door]) => `${option}=${portOf(door)}`);
        const options = login ? [...ports, `passwordEnv=${PASSWORD_ENV}`] : ports;
        return `${name}://${networkOf(rack)}.{n}?${options.join('&')}`;
      };
      const group = { rack: rackId(rack), model, periodMs: 10_000 };
      const answering = RACK - REFUSING;
      return [
        { ...group, target: target(({ port }) => port), first: 1, count: answering },
        { ...group, target: target(() => DEAD_PORT), first: answering + 1, count: REFUSING },
      ];
    }),
    prices: {
      hash: { url: 'http://127.0.0.1:9/', periodMs: 3_600_000, maxAgeS: 3_600, fallbackUsdPerPhDay: 45 },
    },
  };
}

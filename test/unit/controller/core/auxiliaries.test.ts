import { expect, test } from 'vitest';
import { siteSchema } from '../../../../config/schema/site.ts';
import { committedW, estimatedW } from '../../../../controller/core/room.ts';
import { Plant } from './plant.ts';
import { smallSite } from './small-site.ts';

const site = siteSchema.parse(smallSite);
const AUXILIARY = { fixedKw: 4, perItKw: 0.2, lagS: 10 };
const place = (plant: Plant, id: string): number =>
  plant.state.site.nodes.findIndex((node) => node.id === id);

/** The small site with room for all, and pumps on a node; its meters show them as they are. */
class PumpedPlant extends Plant {
  /** The nodes without voltage. */
  readonly dead = new Set<string>();
  readonly #at: string;

  constructor(at: string, feeds?: [string, string]) {
    const nodes = site.nodes.map((node) => ({
      ...node,
      capKw: 200,
      ...(node.id === at ? { auxiliary: AUXILIARY } : {}),
      ...(node.id === at && feeds !== undefined ? { parent: undefined, feeds } : {}),
    }));
    super({ ...site, nodes });
    this.#at = at;
  }

  /** What the machines below a node draw together, W. */
  itW(id: string): number {
    return super.nodeW(id);
  }

  pumpedW(): number {
    return AUXILIARY.fixedKw * 1_000 + AUXILIARY.perItKw * this.itW(this.#at);
  }

  override nodeW(id: string): number {
    const { nodes, machines } = this.state.site;
    const node = place(this, id);
    const share = (below: number): number => {
      const step = nodes[below]?.path.indexOf(node) ?? -1;
      const feeds = nodes[below]?.feeds ?? [];
      if (this.dead.has(id)) return 0;
      const other = feeds.some((feed) => this.dead.has(nodes[feed.node]?.id ?? ''));
      return step < 0 ? 0 : other ? 1 : (nodes[below]?.shares[step] ?? 1);
    };
    return machines.reduce(
      (sum, machine) => sum + this.truthW(machine.index) * share(machine.nodeIndex),
      this.pumpedW() * share(place(this, this.#at)),
    );
  }
}

test('pumps of a rack on two feeds count in full on both, and are carried by one when the other is lost', () => {
  const plant = new PumpedPlant('g1', ['f1', 'f2']).run(60);
  const one = place(plant, 'f1');
  const carriedW = plant.itW('r1') + plant.itW('g1') + plant.pumpedW();
  expect(plant.nodeW('f1')).toBeLessThan(carriedW - 5_000);
  expect(committedW(plant.state)[one]).toBeCloseTo(carriedW, -2);
  plant.dead.add('f2');
  plant.run(30);
  expect(plant.nodeW('f1')).toBeCloseTo(carriedW);
  expect(committedW(plant.state)[one]).toBeCloseTo(carriedW, -2);
});

test('without its meter a node is estimated with what follows its machines now', () => {
  const plant = new PumpedPlant('site');
  plant.priceUsdPerMwh = 500;
  plant.run(120);
  plant.metersRead = false;
  plant.run(30);
  plant.priceUsdPerMwh = 20;
  plant.run(200);
  expect(plant.count('mine')).toBeGreaterThan(10);
  expect(estimatedW(plant.state)[0]).toBeCloseTo(plant.nodeW('site'), -2);
});

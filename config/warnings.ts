import { unfitForRevenue } from './counters.ts';
import type { Explained } from './explain.ts';
import { idleCredentials } from './credentials.ts';
import { outletWarnings } from './outlets.ts';
import { planCapW } from '../protocols/loading.ts';
import { GUARD_MAX_AGE_MS } from '../protocols/metering/age.ts';
import { poolWarnings } from './pools.ts';
import type { Site } from './site.ts';

/** A sample is as old as its question: what an answer may take. */
const ANSWER_MS = 1_000;
/** Children may be larger than their parent (they are rarely full together), up to this. */
const OVERSIZED = 2;

/** What a valid site file says that is probably not meant; nothing here stops the site from running. */
export function findWarnings(site: Site): readonly Explained[] {
  return [
    ...capWarnings(site),
    ...ampereWarnings(site),
    ...loadWarnings(site),
    ...meterWarnings(site),
    ...slowMeterWarnings(site),
    ...revenueWarnings(site),
    ...loopWarnings(site),
    ...secretWarnings(site),
    ...outletWarnings(site),
    ...poolWarnings(site),
    ...credentialWarnings(site),
  ];
}

/** Place of a node in the file; `Site.nodes` has another order. */
const placeOf = (site: Site, id: string): number => site.config.nodes.findIndex((node) => node.id === id);

const round = (powerKw: number): number => Math.round(powerKw * 10) / 10;

function capWarnings(site: Site): Explained[] {
  return site.nodes.flatMap((node): Explained[] => {
    const children = site.nodes.filter(({ feeds }) => feeds.some((feed) => feed.node === node.index));
    const path = ['nodes', placeOf(site, node.id), 'capKw'];
    const sum = children.reduce((total, child) => total + child.capKw, 0);
    const larger = children.find((child) => child.capKw > node.capKw);
    if (sum > node.capKw * OVERSIZED)
      return [
        {
          path,
          message: `the nodes below '${node.id}' may take ${round(sum)} kW together, ${(sum / node.capKw).toFixed(1)} times its ${round(node.capKw)} kW`,
        },
      ];
    if (larger !== undefined)
      return [
        {
          path,
          message: `'${larger.id}' may take ${round(larger.capKw)} kW, more than '${node.id}' above it (${round(node.capKw)} kW)`,
        },
      ];
    return [];
  });
}

/** Meters to settle by whose counters are not to be relied on. */
function revenueWarnings(site: Site): Explained[] {
  return site.meters.flatMap(({ id, index, target, revenue }) => {
    const why = revenue === undefined || revenue.pulses !== undefined ? undefined : unfitForRevenue(target);
    const message = `'${id}' is to be settled by, but ${why}: its intervals are made of its power, and estimates`;
    return why === undefined ? [] : [{ path: ['meters', index, 'revenue'], message }];
  });
}

/** Limits in kVA and A that nobody measures, and limits in kW that no power factor reaches. */
function ampereWarnings(site: Site): Explained[] {
  return site.nodes.flatMap((node): Explained[] => {
    const { capKw, capKva = Infinity, capA = Infinity, phaseV = Infinity, phases = 3 } = node;
    if (capKva === Infinity && capA === Infinity) return [];
    const path = ['nodes', placeOf(site, node.id), capA === Infinity ? 'capKva' : 'capA'];
    const mostKw = Math.min(capKva, (capA * phaseV * phases) / 1_000);
    const problems: Explained[] = [];
    if (capKw > mostKw * 1.1)
      problems.push({
        path: ['nodes', placeOf(site, node.id), 'capKw'],
        message: `'${node.id}' may take ${round(capKw)} kW, but no more than ${round(mostKw)} kVA: its capKw is never reached`,
      });
    if (!site.meters.some((meter) => meter.nodeIndex === node.index && meter.role === 'node'))
      problems.push({
        path,
        message: `no meter measures '${node.id}': its kVA and A are taken for ${round(planCapW(node, undefined) / 1_000)} kW, with power factor, voltage and phases assumed at their worst`,
      });
    return problems;
  });
}

function loadWarnings(site: Site): Explained[] {
  return site.racks.flatMap((rack): Explained[] => {
    const node = site.nodes.find(({ id }) => id === rack.id);
    if (node === undefined) return [];
    const ratedKw =
      rack.machines.reduce((sum, index) => sum + (site.machines[index]?.model.ratedW ?? 0), 0) / 1_000;
    const { fixedKw = 0, perItKw = 0 } = node.auxiliary ?? {};
    const allKw = fixedKw + ratedKw * (1 + perItKw);
    if (allKw <= node.capKw) return [];
    const beside = allKw > ratedKw ? ` and with what cools them ${round(allKw)} kW` : '';
    return [
      {
        path: ['nodes', placeOf(site, rack.id), 'capKw'],
        message: `the ${rack.machines.length} machines in '${rack.id}' are rated ${round(ratedKw)} kW together${beside}, above its cap of ${round(node.capKw)} kW`,
      },
    ];
  });
}

/** A pump that rests by order is lost to a permissive that does not know of it: nothing would ever start again. */
function loopWarnings({ config, nodes }: Site): Explained[] {
  return config.plant.permissives.flatMap(({ id, node, about, loop }, index): Explained[] => {
    if (loop !== undefined || (about !== 'pump' && about !== 'flow')) return [];
    const path = (of: string): readonly number[] => nodes.find((one) => one.id === of)?.path ?? [];
    const own = path(node)[0] ?? -1;
    const cooled = config.plant.loops.find(
      (one) => path(one.node).includes(own) || path(node).includes(path(one.node)[0] ?? -1),
    );
    if (cooled === undefined) return [];
    return [
      {
        path: ['plant', 'permissives', index],
        message: `'${id}' is lost whenever the pump of '${cooled.id}' rests, and then nothing starts it again: give it \`loop: ${cooled.id}\``,
      },
    ];
  });
}

function meterWarnings(site: Site): Explained[] {
  const root = site.nodes[0];
  if (root === undefined) return [];
  const metered = site.meters.some((meter) => meter.nodeIndex === root.index && meter.role === 'node');
  if (metered) return [];
  return [
    {
      path: ['meters'],
      message: `no meter measures '${root.id}': reductions can be observed at the machines, but not verified at the site`,
    },
  ];
}

/** Between samples that are too far apart the guard goes by the machines, as if it had no meter. */
function slowMeterWarnings(site: Site): Explained[] {
  const mostMs = GUARD_MAX_AGE_MS - ANSWER_MS;
  return site.meters.flatMap(({ id, node, role, index, periodMs }): Explained[] => {
    if (role !== 'node' || periodMs <= mostMs) return [];
    const message = `'${id}' is read every ${periodMs / 1_000} s: the guard of '${node}' believes a sample for ${GUARD_MAX_AGE_MS / 1_000} s, and in between it has nothing but the machines' own words. Read it every ${mostMs / 1_000} s or faster`;
    return [{ path: ['meters', index, 'periodMs'], message }];
  });
}

function secretWarnings(site: Site): Explained[] {
  const secret = (target: string): boolean =>
    /^[^/]*\/\/[^/@]*:[^/@]+@/.test(target) || /[?&]pass(word)?=/i.test(target);
  const message = 'a password stands in this file: name an environment variable with passwordEnv instead';
  const withoutReference = (target: string): boolean =>
    /[?&]user=/.test(target) && !/[?&](passwordEnv|passwordFile|key)=/.test(target);
  const found: Explained[] = [];
  const targets = [
    ...site.config.machines.map((group, index) => ({
      target: group.target,
      path: ['machines', index, 'target'],
    })),
    ...site.config.meters.map((meter, index) => ({
      target: meter.target,
      path: ['meters', index, 'target'],
    })),
    ...(site.config.utility ? [{ target: site.config.utility.target, path: ['utility', 'target'] }] : []),
    ...(site.config.broker ? [{ target: site.config.broker.url, path: ['broker', 'url'] }] : []),
  ];
  for (const { target, path } of targets) {
    if (secret(target)) found.push({ path, message });
    else if (withoutReference(target))
      found.push({
        path,
        message: 'a user is named without passwordEnv: the login will be tried without a password',
      });
  }
  if (site.config.broker?.username !== undefined && site.config.broker.passwordEnv === undefined)
    found.push({
      path: ['broker', 'username'],
      message: 'a user is named without passwordEnv: the broker will be asked without a password',
    });
  if (site.config.broker?.url.startsWith('mqtt://') && site.config.broker.username !== undefined)
    found.push({
      path: ['broker', 'url'],
      message: 'the password goes to the broker in clear; use mqtts:// unless the network is closed',
    });
  return found;
}

function credentialWarnings(site: Site): Explained[] {
  return idleCredentials(site).map((index) => {
    const scheme = site.config.credentials[index]?.scheme ?? '';
    return {
      path: ['credentials', index, 'scheme'],
      message: `no machine's target begins with ${scheme}://: these credentials are used by none`,
    };
  });
}

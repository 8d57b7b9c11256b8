import type { OperatorRequest } from '../../../../protocols/console/view.ts';
import type { Plant } from './plant.ts';

/** A person's order, as the console's door gives it: written down, then taken. */
export function order(
  plant: Plant,
  actor: string,
  action: OperatorRequest['action'],
  ids: readonly string[],
): void {
  const request = { scope: ids, action, reason: 'fan' };
  const commandId = `op-${plant.state.epoch}-${plant.records.length}`;
  const atMs = 1_000_000 + plant.nowMs;
  plant.records.push({ t: 'operator', atMs, commandId, actor, request, machines: ids });
  const machines = plant.state.site.machines.filter((one) => ids.includes(one.id)).map((one) => one.index);
  plant.take({ kind: 'operator', commandId, actor, request, machines });
}

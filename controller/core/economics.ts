import type { Model } from '../../config/schema/model.ts';
import type { Mode } from '../../protocols/reading.ts';
import { modeAt } from './state.ts';
import type { SiteState } from './state.ts';

/** The mode a machine rests in: an ASIC sleeps, a GPU host idles. */
export const restMode = (model: Model): Mode => (model.kind === 'asic' ? 'sleep' : 'idle');

/** Draw of a machine in a mode, W: learned for its working mode, else from its model. */
export function drawW(state: SiteState, machine: number, mode: Mode): number {
  const model = state.site.machines[machine]?.model;
  if (model === undefined || mode === 'off') return 0;
  if (mode === 'sleep') return model.sleepW;
  if (model.kind === 'asic') {
    const learned = state.workW[machine] ?? Number.NaN;
    return Number.isNaN(learned) ? workRungW(model) : learned;
  }
  if (mode === 'ai') return model.aiW;
  return mode === 'mine' ? model.mineW : model.idleW;
}

function workRungW(model: Model): number {
  return model.kind === 'asic' ? (model.rungs.at(-1)?.powerW ?? model.ratedW) : model.mineW;
}

/** What a known machine draws now by its own word, or by its model where its firmware is silent, W. */
export function believedW(state: SiteState, machine: number): number {
  const measured = state.powerW[machine] ?? Number.NaN;
  if (!Number.isNaN(measured)) return measured;
  const mode = modeAt(state.mode[machine] ?? -1);
  return mode === undefined ? 0 : drawW(state, machine, mode);
}

/** Mining income of a machine at its default level with the boards it has left, USD per hour, energy not subtracted. */
export function miningUsdPerHour(state: SiteState, machine: number): number {
  const model = state.site.machines[machine]?.model;
  if (model === undefined) return 0;
  if (model.kind === 'gpu-host') return ((state.site.config.ai?.mineUsdPerGpuDay ?? 0) * model.gpus) / 24;
  const hashrateThs = (model.rungs.at(-1)?.hashrateThs ?? 0) * (state.boards.share[machine] ?? 1);
  const fee = 1 - state.site.config.prices.hash.poolFeePct / 100;
  return ((state.hashpriceUsdPerPhDay * hashrateThs) / 1_000 / 24) * fee;
}

/** The energy price at which mining on this machine earns nothing over resting, USD/MWh. */
export function breakevenUsdPerMwh(state: SiteState, machine: number): number {
  const model = state.site.machines[machine]?.model;
  if (model === undefined) return 0;
  const addedW = drawW(state, machine, 'mine') - drawW(state, machine, restMode(model));
  return addedW > 0 ? (miningUsdPerHour(state, machine) / addedW) * 1e6 : 0;
}

/** What a GPU host earns under a contract, USD per hour: the price and the penalty that is not paid. */
export function aiUsdPerHour(state: SiteState, machine: number, contractId: string): number {
  const model = state.site.machines[machine]?.model;
  if (model?.kind !== 'gpu-host') return 0;
  const contract = state.site.config.ai?.contracts.find((one) => one.id === contractId);
  if (contract === undefined) return 0;
  return (contract.usdPerGpuHour + contract.penaltyUsdPerGpuHour) * model.gpus;
}

/** What energy costs at the site, USD/MWh with adders; undefined while no price may be used. */
export function energyUsdPerMwh(state: SiteState): number | undefined {
  const energy = state.site.config.prices.energy;
  if (energy === undefined) return 0;
  return state.price.usdPerMwh === undefined ? undefined : state.price.usdPerMwh + energy.addersUsdPerMwh;
}

/** One cooling circuit: pump, flow and the water that returns, as the load it cools warms it. */
export interface Cooling {
  /** The pump has power and turns. */
  running: boolean;
  /** The plant's PLC is asked to run it. */
  demanded: boolean;
  /** Something stops the water though the pump turns: a closed valve. */
  blocked: boolean;
  /** Share of the full flow. */
  flow(nowMs: number): number;
  /** Of the returning water, °C. */
  waterC(nowMs: number): number;
}

const COLD_C = 16;
/** Above the cold water at full load and full flow, K. */
const RISE_K = 20;
/** Boils off, or safety valves open. */
const MOST_C = 90;
const FLOW_TAU_MS = 4_000;
const WATER_TAU_MS = 150_000;
/** What moves without a pump. */
const LEAST_FLOW = 0.04;

/**
 * `loadShare`: heat of this moment over the heat the circuit is made for; `ambientC`: of the air, which standing water
 * comes to. Times asked for never go back.
 */
export function makeCooling(
  loadShare: (nowMs: number) => number,
  ambientC: (nowMs: number) => number = () => COLD_C,
): Cooling {
  let atMs = 0;
  let flow = 1;
  let waterC = COLD_C + RISE_K / 2;
  const advance = (nowMs: number): void => {
    // In steps, since the flow changes faster than the water.
    while (atMs < nowMs) {
      const passedMs = Math.min(nowMs - atMs, 1_000);
      atMs += passedMs;
      const wanted = cooling.running && cooling.demanded && !cooling.blocked ? 1 : 0;
      flow += (wanted - flow) * (1 - Math.exp(-passedMs / FLOW_TAU_MS));
      const aroundC = COLD_C * flow + ambientC(atMs) * (1 - flow);
      const settlesC = Math.min(MOST_C, aroundC + (RISE_K * loadShare(atMs)) / Math.max(flow, LEAST_FLOW));
      waterC += (settlesC - waterC) * (1 - Math.exp(-passedMs / WATER_TAU_MS));
    }
  };
  const cooling: Cooling = {
    running: true,
    demanded: true,
    blocked: false,
    flow: (nowMs) => {
      advance(nowMs);
      return flow;
    },
    waterC: (nowMs) => {
      advance(nowMs);
      return waterC;
    },
  };
  return cooling;
}

/** How old a meter's newest good sample may be to count as what its node draws now, on a monotonic clock. */

/** For the agent's guard, which sheds by itself; beyond it the guard goes by the machines. */
export const GUARD_MAX_AGE_MS = 3_000;
/** For the controller, which has it over the bus. */
export const METER_MAX_AGE_MS = 5_000;

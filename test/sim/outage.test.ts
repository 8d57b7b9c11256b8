import { expect, test } from 'vitest';
import { runOutage } from '../../proof/outage.ts';

test('two hours without a broker, the agent killed meanwhile, the broker three times more during the drain', async () => {
  const result = await runOutage({ seed: 1, machines: 20, hours: 2 });
  console.log(JSON.stringify(result));
  expect(result).toMatchObject({
    lost: 0,
    lostByController: 0,
    announced: 0,
    duplicated: 0,
    disordered: 0,
    wrong: 0,
    worstKillGapS: 0,
    brokerKills: 3,
    agentKills: 1,
  });
  // Every 5 s of the rack, every second of the meter, and an alarm's beginning and end every 20 minutes.
  expect(result.frames).toBeGreaterThan(0.98 * 7_200 * 1.2);
  expect(result.late).toBeGreaterThan(0.98 * 7_180 * 1.2);
  expect(result.messages).toBeGreaterThanOrEqual(12);
  expect(result.firstLiveS).toBeLessThan(10);
});

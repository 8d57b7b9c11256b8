import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { buildAssets } from '../../controller/operator/assets.ts';
import { realClock } from '../../host/clock.ts';
import { alarmOf, limitSignal, siteView } from '../wire/fake-operator.ts';
import { rig } from '../wire/operator-rig.ts';
import type { Rig } from '../wire/operator-rig.ts';

const CHROMIUM = '/usr/bin/chromium';
const ARGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const missing = !existsSync(CHROMIUM);
if (missing) process.stdout.write('console e2e skipped: there is no Chromium here\n');

describe.skipIf(missing && process.env['CI'] !== 'true')('the page', () => {
  let made: Rig;
  let browser: Browser;
  let page: Page;
  const errors: string[] = [];

  beforeAll(async () => {
    made = await rig(realClock, {
      view: siteView({ racks: 6, perRack: 10, atMs: realClock.wallMs() }),
      assets: await buildAssets(),
    });
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGS });
    page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    page.on('pageerror', (error) => errors.push(error.message));
    // A view that nothing changes is stale, and said to be; a refused resource or policy is an error.
    page.on('console', (message) => {
      if (message.type() === 'error') errors.push(message.text());
    });
    await page.goto(made.server.url);
    await shows('#site-name', 'Delta Flats');
  });

  beforeEach(() => made.operator.tick(realClock.wallMs()));

  afterAll(async () => {
    await browser?.close();
    await made?.server.close();
    expect(errors).toEqual([]);
  });

  const shows = (selector: string, wanted: string): Promise<void> =>
    page.locator(selector).filter({ hasText: wanted }).first().waitFor();
  const text = (selector: string): Promise<string> => page.locator(selector).innerText();

  test('shows every machine, by mode and in words', async () => {
    const machines = made.operator.view().machines;
    const counts = (await page.locator('#legend b').allInnerTexts()).slice(0, 6).map(Number);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(machines.length);
    // An empty canvas of this size compresses to almost nothing.
    expect((await page.locator('#cells').screenshot()).length).toBeGreaterThan(2_000);
  });

  test('the code is gone from the address and a reload stays logged in', async () => {
    expect(page.url()).not.toContain('code');
    await page.reload();
    await shows('#site-name', 'Delta Flats');
  });

  test('why a machine is in its state, by name and by keyboard', async () => {
    await page.fill('#find', 'r1-04');
    await shows('.why', 'breakeven');
    expect(await text('#machine')).toContain('Machine r1-04'.toUpperCase());
    await page.focus('#cells');
    await page.keyboard.press('ArrowRight');
    await shows('#machine-h', 'Machine r1-05');
    await shows('.why', 'r1-05');
  });

  test('a utility limit becomes a banner', async () => {
    made.operator.change({
      signals: [limitSignal(realClock.wallMs())],
      site: { ...made.operator.view().site, limitKw: 10 },
    });
    await page.waitForSelector('#banner .signal');
    expect(await text('#banner')).toMatch(/LIMIT[\s\S]*limit 400 kW[\s\S]*to shed[\s\S]*left/);
    expect(await text('#bar-text')).toMatch(/kW to shed in/);
    made.operator.change({ signals: [{ ...limitSignal(realClock.wallMs()), untilMs: null }] });
    await page.waitForSelector('#banner .signal.over');
    expect(await text('#bar-text')).toContain('over the limit');
  });

  test('an alarm is acknowledged', async () => {
    made.operator.change({
      alarms: [{ ...alarmOf('a1', realClock.wallMs(), 'high'), text: '<img src=x onerror=alert(1)>' }],
    });
    await page.getByRole('button', { name: 'Acknowledge COMMAND_IGNORED' }).click();
    await page.waitForSelector('.alarm.acked');
    expect(await text('#alarms')).toContain('<img src=x');
    expect(made.operator.view().alarms[0]?.acknowledgedBy).toBe('operator#1');
  });

  test('preview, confirmation by name, live progress', async () => {
    await page.click('#new-command');
    await page.fill('input[name=scope]', 'delta');
    await page.fill('input[name=reason]', 'substation work');
    await page.keyboard.press('Enter');
    const confirm = page.getByRole('button', { name: 'Sleep: 60 machines' });
    await confirm.waitFor();
    expect(await confirm.isDisabled()).toBe(true);
    expect(made.operator.executed).toBe(0);
    await page.fill('input[name=typed]', 'delta');
    await confirm.click();
    await page.waitForSelector('#order [data-command="c1"]');
    made.operator.change({
      commands: made.operator.view().commands.map((command) => ({
        ...command,
        acknowledged: 60,
        observed: 41,
        state: 'verifying' as const,
      })),
    });
    await shows('#order', '60/60 acknowledged, 41 observed');
    await page.keyboard.press('Escape');
    expect(made.operator.asked.find(({ what }) => what === 'preview')?.input).toMatchObject({
      action: 'sleep',
      minutes: 60,
      reason: 'substation work',
    });
  });

  test('nothing is wider than a telephone', async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    expect(await page.locator('html').evaluate((html) => html.scrollWidth)).toBeLessThanOrEqual(360);
    await page.setViewportSize({ width: 1280, height: 900 });
  });

  test('data that stops is called stale within seconds', async () => {
    await page.locator('body.stale').waitFor();
    expect(await text('#age-text')).toContain('stale');
  });
});

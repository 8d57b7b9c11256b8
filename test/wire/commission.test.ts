/** What `commission` asks of a running product, over its console's real socket. */
import { afterEach, describe, expect, test } from 'vitest';
import { connectProduct } from '../../commands/commission-link.ts';
import type { OperatorServer } from '../../controller/operator/server.ts';
import { realClock } from '../../host/clock.ts';
import { rig } from './operator-rig.ts';
import { closeAll, runCommand, until } from './site-rigs.ts';

const servers: OperatorServer[] = [];
const products: { close(): void }[] = [];
afterEach(async () => {
  for (const product of products.splice(0)) product.close();
  for (const server of servers.splice(0)) await server.close();
  await closeAll();
});

async function open() {
  const { operator, server } = await rig(realClock);
  servers.push(server);
  const url = `http://127.0.0.1:${server.port}`;
  return { operator, server, url };
}

describe('the product as commission has it', () => {
  test('orders are previewed and executed, each once; the ledger is told by whom', async () => {
    const { operator, server, url } = await open();
    const product = await connectProduct({ url, code: server.code, name: 'anna', clock: realClock });
    products.push(product);
    expect(product.view()?.nodes.map(({ id }) => id)).toEqual(operator.view().nodes.map(({ id }) => id));
    operator.meterViews = [
      { id: 'm1', node: 'main', role: 'node', powerW: 5, atMs: 7, trusted: true, why: null, agreed: null },
    ];
    expect(await product.meters()).toEqual(operator.meterViews);
    const hold = { scope: ['r1'], action: 'sleep', minutes: 60, reason: 'commission: r1 is tested' } as const;
    const preview = await product.order(hold);
    expect(preview.machines).toEqual(['r1-01', 'r1-02', 'r1-03']);
    await product.order(hold);
    expect(operator.executed).toBe(2);
    expect(operator.asked.every(({ actor }) => actor === 'anna#1')).toBe(true);
    await product.note({ phase: 'begun', racks: [{ rack: 'r1', verdict: '', text: '' }] });
    expect(operator.asked.at(-1)).toMatchObject({ what: 'commissioning', input: { phase: 'begun' } });
  });

  test('a lost connection has no view, so that nothing goes on; a wrong code is said', async () => {
    const { server, url } = await open();
    const product = await connectProduct({ url, code: server.code, name: 'anna', clock: realClock });
    products.push(product);
    await server.close();
    servers.length = 0;
    await until('the view is gone', 10_000, () => product.view() === undefined);
    const other = await open();
    await expect(
      connectProduct({ url: other.url, code: 'AAAAA-AAAAA', name: 'anna', clock: realClock }),
    ).rejects.toMatchObject({ code: 'LOGIN_REFUSED' });
  });

  test('the command refuses a site file that is not the running one, and switches nothing', async () => {
    const { operator, server, url } = await open();
    const file = 'config/sites/example-20mw.yaml';
    const args = ['commission', '--site', file, '--url', url, '--yes', '--json'];
    const { status, stdout } = await runCommand([...args, '--code', server.code ?? '']);
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'CONFIG_INVALID' } });
    expect(operator.executed).toBe(0);
    for (const wrong of [
      ['--rack', 'nowhere'],
      ['--report', '/no/such/folder/report.json'],
    ])
      expect((await runCommand([...args, ...wrong])).status, wrong.join(' ')).toBe(2);
  });
});

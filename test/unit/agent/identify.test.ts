import { expect, test } from 'vitest';

import { foundTarget } from '../../../agent/identify.ts';
import { parseTarget } from '../../../agent/target.ts';

const FINDING = { scheme: 'antminer', options: { http: '8081' }, hasPassword: true, why: 'x' };
const secrets = { env: { P: 'secret' }, readFile: (path: string) => path };

test.each([
  ['auto://10.0.0.1', 'antminer://10.0.0.1?http=8081'],
  ['auto://10.0.0.1:8081?passwordEnv=P', 'antminer://10.0.0.1?http=8081&passwordEnv=P'],
  ['auto://root@[fd00::1]?passwordEnv=P', 'antminer://[fd00::1]?http=8081&user=root&passwordEnv=P'],
  [
    'auto://10.0.0.1?user=a%20b%26c&passwordFile=/etc/two%20words+more',
    'antminer://10.0.0.1?http=8081&user=a%20b%26c&passwordFile=/etc/two%20words%2Bmore',
  ],
])('%s: the target names the same references', (url, target) => {
  const asked = parseTarget(url, secrets);
  expect(foundTarget(asked, FINDING)).toBe(target);
  const { user, password } = parseTarget(target, secrets);
  expect({ user, password }).toEqual({ user: asked.user, password: asked.password });
});

test('a family without a password is given none', () => {
  const asked = parseTarget('auto://root@10.0.0.1?passwordEnv=P', secrets);
  expect(foundTarget(asked, { ...FINDING, options: {}, hasPassword: false })).toBe('antminer://10.0.0.1');
});

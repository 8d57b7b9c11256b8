import { describe, expect, test } from 'vitest';

import { parseTarget } from '../../../agent/target.ts';
import { parseSite } from '../../../config/load.ts';
import { SiteInvalid } from '../../../config/site.ts';
import { asFault } from '../../../protocols/faults.ts';
import { change, GOOD, MODELS, PROFILES } from './good-site.ts';

const withCredentials = (credentials: string, site = GOOD): string =>
  `${site}credentials:\n${credentials
    .split('\n')
    .map((line) => `  - ${line}\n`)
    .join('')}`;

const targetsOf = (text: string): readonly string[] =>
  parseSite(text, MODELS, PROFILES).site.machines.map(({ target }) => target);

const refusalOf = (text: string): string => {
  try {
    parseSite(text, MODELS, PROFILES);
  } catch (error) {
    return error instanceof SiteInvalid ? error.message : asFault(error).message;
  }
  return '';
};

describe('credentials', () => {
  test('the nearest to a machine counts: its own, its rack, what is above, the site', () => {
    const targets = targetsOf(
      withCredentials(
        [
          '{ scheme: antminer, user: root, passwordEnv: SITE }',
          '{ scheme: antminer, nodes: [main], passwordEnv: MAIN }',
          '{ scheme: antminer, nodes: [feeder-1], user: farm, passwordEnv: FEEDER }',
          '{ scheme: antminer, machines: [r1-02, r1-03], passwordFile: "/secrets/{rack}/{machine}" }',
        ].join('\n'),
      ),
    );
    const plain = 'antminer://10.1.1.1?http=80&api=4028';
    expect(targets[0]).toBe(`${plain}&user=farm&passwordEnv=FEEDER`);
    expect(targets[1]).toBe('antminer://10.1.1.2?http=80&api=4028&passwordFile=/secrets/r1/r1-02');
    expect(targets[23]).toBe('antminer://10.1.1.24?http=80&api=4028&user=farm&passwordEnv=FEEDER');
    const site = targetsOf(withCredentials('{ scheme: antminer, user: root, passwordEnv: SITE }'));
    expect(site[0]).toBe(`${plain}&user=root&passwordEnv=SITE`);
  });

  test('they reach the driver through the target, whatever signs they hold', () => {
    const [target = ''] = targetsOf(
      withCredentials("{ scheme: antminer, user: 'a+b &c%', passwordFile: '/s e+c/x?y' }"),
    );
    const parsed = parseTarget(target, { env: {}, readFile: (path) => `in ${path}\n` });
    expect(parsed).toMatchObject({ user: 'a+b &c%', password: 'in /s e+c/x?y' });
    expect(Object.keys(parsed.options)).toEqual(['http', 'api']);
  });

  test.each(['&user=me', '&passwordEnv=MINE', '&passwordFile=f', '&key=k'])(
    'a target with %s brings its own',
    (own) => {
      const text = change('?http=80&api=4028', `?http=80&api=4028${own}`);
      const given = withCredentials('{ scheme: antminer, user: root, passwordEnv: SITE }', text);
      expect(targetsOf(given)).toEqual(targetsOf(text));
    },
  );

  test.each(['', 'user: ops, '])('a target that names its user takes the secret of that one (%s)', (user) => {
    const text = change('antminer://10', 'antminer://ops@10');
    expect(targetsOf(withCredentials(`{ scheme: antminer, ${user}keyFile: /k }`, text))[0]).toBe(
      'antminer://ops@10.1.1.1?http=80&api=4028&key=/k',
    );
  });

  test('those of another scheme are given to nobody, and that is said', () => {
    const text = withCredentials('{ scheme: whatsminer, passwordEnv: W }');
    expect(targetsOf(text)).toEqual(targetsOf(GOOD));
    expect(parseSite(text, MODELS, PROFILES).warnings.map(({ message }) => message)).toEqual([
      "no machine's target begins with whatsminer://: these credentials are used by none",
    ]);
  });

  test.each([
    ['{ scheme: antminer, nodes: [r2], passwordEnv: A }', "there is no node 'r2'"],
    ['{ scheme: antminer, machines: [r1-25], passwordEnv: A }', "there is no machine 'r1-25'"],
    [
      '{ scheme: antminer, nodes: [r1], passwordEnv: A }\n{ scheme: antminer, nodes: [r1], passwordEnv: B }',
      'line 43, column 33: credentials of antminer:// for the node r1 stand twice',
    ],
    [
      '{ scheme: antminer, passwordEnv: A }\n{ scheme: antminer, passwordEnv: B }',
      'line 43, column 5: credentials of antminer:// for the site stand twice',
    ],
    ['{ scheme: antminer, nodes: [r1], machines: [r1-01], passwordEnv: A }', 'either `nodes` or `machines`'],
    ['{ scheme: antminer, user: root }', 'one of `passwordEnv`, `passwordFile` and `keyFile`'],
    ['{ scheme: antminer, password: secret }', 'password'],
  ])('%s is refused', (credentials, why) => {
    expect(refusalOf(withCredentials(credentials))).toContain(why);
  });
});

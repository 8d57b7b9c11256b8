import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { realClock } from '../../host/clock.ts';
import type { Remote, RemoteHost, RemoteTarget } from '../../host/deps.ts';
import { makeRemote } from '../../host/remote.ts';
import { asFault } from '../../protocols/faults.ts';
import type { ExecAnswer, ExecDevice } from '../../simulator/device.ts';
import { makeSshKeys, serveSsh } from '../../simulator/fronts/ssh.ts';
import { hasSshd, makeFolder, readText, startSshd } from './gpu-rigs.ts';
import type { Folder, RealSshd } from './gpu-rigs.ts';

let folder: Folder;
const remote: Remote = makeRemote({ clock: realClock, readFile: readText });
const opened: RemoteHost[] = [];

async function open(target: RemoteTarget, timeoutMs = 15_000): Promise<RemoteHost> {
  const host = await remote.open(target, { timeoutMs });
  opened.push(host);
  return host;
}

async function faultOf(promise: Promise<unknown>): Promise<{ code: string; detail: string }> {
  return promise.then(
    () => ({ code: 'none', detail: '' }),
    (error: unknown) => asFault(error),
  );
}

/** A login shell on a busy machine takes its time. */
const long = { timeoutMs: 20_000, maxBytes: 65_536 };
const short = { timeoutMs: 5_000, maxBytes: 65_536 };

beforeAll(async () => {
  folder = await makeFolder();
});
afterAll(async () => {
  for (const host of opened) host.close();
  await folder.remove();
});

/** A host of the tests' own vocabulary that counts what runs at once. */
class Scripted implements ExecDevice {
  readonly seen: string[] = [];

  exec(command: string): ExecAnswer {
    this.seen.push(command);
    if (command === 'hang') return { kind: 'silence' };
    if (command === 'flood') return result(0, 'x'.repeat(200_000));
    if (command === 'fail')
      return { kind: 'result', code: 7, stdout: 'partly', stderr: 'no such thing', afterMs: 0 };
    if (command === 'slow') return { kind: 'result', code: 0, stdout: 'slow', stderr: '', afterMs: 60 };
    if (command === 'tick') {
      let count = 0;
      return { kind: 'stream', everyMs: 5, lines: () => [`tick ${(count += 1)} ü`] };
    }
    if (command === 'endless') return { kind: 'stream', everyMs: 2, lines: () => ['y'.repeat(20_000)] };
    return result(0, command);
  }
}

function result(code: number, stdout: string): ExecAnswer {
  return { kind: 'result', code, stdout, stderr: '', afterMs: 0 };
}

describe('against the simulated SSH front', () => {
  const device = new Scripted();
  let target: RemoteTarget;
  let close: () => Promise<void>;

  beforeAll(async () => {
    const front = await serveSsh([{ host: '127.0.0.1', port: 0, kind: 'ssh', device }], {
      clock: realClock,
      hostKey: folder.hostKeys.privateKey,
      authorizedKey: folder.keys.publicKey,
    });
    close = () => front.close();
    const port = front.ports[0] ?? 0;
    target = {
      host: '127.0.0.1',
      port,
      user: 'op',
      keyFile: folder.keyFile,
      hostKey: folder.hostKeys.fingerprint,
    };
  });
  afterAll(() => close());

  it('runs commands and tells exit code, output and complaint apart', async () => {
    const host = await open(target);
    expect(await host.exec(['echo', 'a=b,c.d:e_f/g@h%i+j-k'], short)).toEqual({
      code: 0,
      stdout: 'echo a=b,c.d:e_f/g@h%i+j-k',
      stderr: '',
    });
    expect(await host.exec(['fail'], short)).toEqual({ code: 7, stdout: 'partly', stderr: 'no such thing' });
  });

  it('lets no word through that a shell could read more into', async () => {
    const host = await open(target);
    const before = device.seen.length;
    for (const word of ['$(id)', 'a;b', 'a b', '', '`x`', 'a|b', '>f', "'", '*', '~', 'ü', 'a\nb']) {
      expect((await faultOf(host.exec(['echo', word], short))).code).toBe('TARGET_INVALID');
    }
    expect((await faultOf(host.exec(['PATH=/tmp', 'id'], short))).code).toBe('TARGET_INVALID');
    expect((await faultOf(host.exec([], short))).code).toBe('TARGET_INVALID');
    expect(device.seen.length).toBe(before);
  });

  it('refuses a host whose key is not the pinned one, before logging in', async () => {
    const fault = await faultOf(
      remote.open({ ...target, hostKey: makeSshKeys().fingerprint }, { timeoutMs: 5_000 }),
    );
    expect(fault.code).toBe('SSH_HOST_KEY');
    expect(fault.detail).toContain(folder.hostKeys.fingerprint);
    expect((await faultOf(remote.open({ ...target, hostKey: '' }, { timeoutMs: 5_000 }))).code).toBe(
      'TARGET_INVALID',
    );
  });

  it('names a refused login, a missing key file and a closed port', async () => {
    const keyFile = join(folder.path, 'stranger');
    await writeFile(keyFile, makeSshKeys().privateKey);
    expect((await faultOf(remote.open({ ...target, keyFile }, { timeoutMs: 5_000 }))).code).toBe(
      'AUTH_FAILED',
    );
    expect(
      (await faultOf(remote.open({ ...target, keyFile: '/nowhere/key' }, { timeoutMs: 5_000 }))).code,
    ).toBe('SSH_FAILED');
    expect(
      (await faultOf(remote.open({ ...target, host: '127.0.0.1', port: 1 }, { timeoutMs: 5_000 }))).code,
    ).toBe('NET_REFUSED');
  });

  it('gives up a command that hangs, keeps the link, and caps what a command may print', async () => {
    const host = await open(target);
    expect((await faultOf(host.exec(['hang'], { timeoutMs: 150, maxBytes: 100 }))).code).toBe('NET_TIMEOUT');
    expect((await faultOf(host.exec(['flood'], { timeoutMs: 5_000, maxBytes: 1_000 }))).code).toBe(
      'NET_OVERSIZE',
    );
    expect((await host.exec(['still', 'there'], short)).stdout).toBe('still there');
  });

  it('runs at most four channels at once and the rest in turn', async () => {
    const host = await open(target);
    const answers = await Promise.all(Array.from({ length: 30 }, () => host.exec(['slow'], short)));
    expect(answers.every((answer) => answer.stdout === 'slow')).toBe(true);
    const hung = Array.from({ length: 4 }, () =>
      faultOf(host.exec(['hang'], { timeoutMs: 300, maxBytes: 100 })),
    );
    const late = await faultOf(host.exec(['slow'], { timeoutMs: 100, maxBytes: 100 }));
    expect(late.code).toBe('NET_TIMEOUT');
    await Promise.all(hung);
    expect((await host.exec(['slow'], short)).stdout).toBe('slow');
  });

  it('streams whole lines until closed, and ends a stream whose lines are too long', async () => {
    const host = await open(target);
    const lines: string[] = [];
    await new Promise<void>((resolve, reject) => {
      const channel = host.stream(['tick'], {
        onLine: (line) => {
          lines.push(line);
          if (lines.length === 5) {
            channel.close();
            resolve();
          }
        },
        onClose: reject,
      });
    });
    expect(lines).toEqual(['tick 1 ü', 'tick 2 ü', 'tick 3 ü', 'tick 4 ü', 'tick 5 ü']);
    const fault = await new Promise<Error>((resolve) =>
      host.stream(['endless'], { onLine: () => {}, onClose: resolve }),
    );
    expect(asFault(fault).code).toBe('NET_OVERSIZE');
    const ended = await new Promise<Error>((resolve) =>
      host.stream(['fail'], { onLine: () => {}, onClose: resolve }),
    );
    expect(asFault(ended).detail).toContain('exit code 7 no such thing');
  });

  it('tells everybody when the link is lost: command, stream and owner', async () => {
    const lone = await serveSsh([{ host: '127.0.0.1', port: 0, kind: 'ssh', device }], {
      clock: realClock,
      hostKey: folder.hostKeys.privateKey,
      authorizedKey: folder.keys.publicKey,
    });
    const host = await open({ ...target, port: lone.ports[0] ?? 0 });
    const lost = new Promise<Error>((resolve) => {
      host.onClose = resolve;
    });
    const hanging = faultOf(host.exec(['hang'], short));
    const stream = new Promise<Error>((resolve) => {
      host.stream(['tick'], { onLine: () => void lone.close(), onClose: resolve });
    });
    expect((await hanging).code).toBe('NET_RESET');
    expect(asFault(await stream).code).toBe('NET_RESET');
    expect(asFault(await lost).code).toBe('NET_RESET');
    expect((await faultOf(host.exec(['again'], short))).code).toBe('NET_RESET');
  });

  it('serves 32 hosts on addresses of their own from one process', async () => {
    const endpoints = Array.from(
      { length: 32 },
      (_none, at) => ({ host: `127.0.9.${at + 1}`, port: 0, kind: 'ssh', device }) as const,
    );
    const front = await serveSsh(endpoints, {
      clock: realClock,
      hostKey: folder.hostKeys.privateKey,
      authorizedKey: folder.keys.publicKey,
    });
    const hosts = await Promise.all(
      endpoints.map(({ host }, at) => open({ ...target, host, port: front.ports[at] ?? 0 }, 15_000)),
    );
    const answers = await Promise.all(hosts.map((host, at) => host.exec(['host', String(at)], short)));
    expect(answers.map((answer) => answer.stdout)).toEqual(endpoints.map((_endpoint, at) => `host ${at}`));
    for (const host of hosts) host.close();
    await front.close();
  });
});

describe('against a real OpenSSH server', () => {
  const must = process.env['CI'] === 'true';
  if (!hasSshd && !must) console.log('skipped: /usr/sbin/sshd is not installed');
  const real = it.skipIf(!hasSshd && !must);
  let sshd: RealSshd | undefined;

  const server = async (): Promise<RealSshd> => (sshd ??= await startSshd(folder));
  afterAll(() => sshd?.close());

  real('runs commands with a pinned key of either family', async () => {
    const { target, rsaPin } = await server();
    const host = await open(target);
    expect(await host.exec(['printf', '%s', 'a+b'], long)).toEqual({ code: 0, stdout: 'a+b', stderr: '' });
    expect((await host.exec(['false'], long)).code).toBe(1);
    expect((await host.exec(['no-such-tool'], long)).code).toBe(127);
    const rsa = await open({ ...target, hostKey: rsaPin });
    expect((await rsa.exec(['true'], long)).code).toBe(0);
    expect(
      (await faultOf(remote.open({ ...target, hostKey: makeSshKeys().fingerprint }, { timeoutMs: 5_000 })))
        .code,
    ).toBe('SSH_HOST_KEY');
  });

  real('a command that hangs costs its channel, not the link', async () => {
    const { target } = await server();
    const host = await open(target);
    let lost = false;
    host.onClose = () => {
      lost = true;
    };
    expect((await faultOf(host.exec(['sleep', '30'], { timeoutMs: 300, maxBytes: 100 }))).code).toBe(
      'NET_TIMEOUT',
    );
    expect(
      (await faultOf(host.exec(['seq', '1', '1000000'], { timeoutMs: 20_000, maxBytes: 10_000 }))).code,
    ).toBe('NET_OVERSIZE');
    expect((await host.exec(['true'], long)).code).toBe(0);
    expect(lost).toBe(false);
  });

  real('a dozen commands at once stay below the session limit', async () => {
    const { target } = await server();
    const host = await open(target);
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_none, at) => host.exec(['echo', String(at)], long)),
    );
    expect(answers.map((answer) => answer.stdout.trim())).toEqual(
      Array.from({ length: 12 }, (_none, at) => String(at)),
    );
  });

  real('a stream that ends says how', async () => {
    const { target } = await server();
    const host = await open(target);
    const ended = await new Promise<Error>((resolve) =>
      host.stream(['seq', '3'], { onLine: () => {}, onClose: resolve }),
    );
    expect(asFault(ended)).toMatchObject({ code: 'REMOTE_FAILED', detail: 'exit code 0' });
  });
});

/** What the wire tests of GPU hosts share: keys in a temporary folder, a real sshd with stand-in tools on its PATH. */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import * as net from 'node:net';
import { userInfo, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RemoteTarget } from '../../host/deps.ts';
import { makeSshKeys } from '../../simulator/fronts/ssh.ts';
import type { SshKeys } from '../../simulator/fronts/ssh.ts';

export interface Folder {
  readonly path: string;
  readonly keys: SshKeys;
  readonly hostKeys: SshKeys;
  readonly keyFile: string;
  remove(): Promise<void>;
}

/** A private folder with a login key and a host key. */
export async function makeFolder(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), 'switchyard-gpu-'));
  await chmod(path, 0o700);
  const keys = makeSshKeys();
  const hostKeys = makeSshKeys();
  const keyFile = join(path, 'login');
  await writeFile(keyFile, keys.privateKey, { mode: 0o600 });
  return { path, keys, hostKeys, keyFile, remove: () => rm(path, { recursive: true, force: true }) };
}

export const readText = (path: string): Promise<string> => readFile(path, 'utf8');

const SSHD = '/usr/sbin/sshd';
export const hasSshd = existsSync(SSHD);

export interface RealSshd {
  readonly target: RemoteTarget;
  /** The pin of the server's second host key, of another family. */
  readonly rsaPin: string;
  /** Files the stand-in tools live by. */
  readonly state: string;
  close(): Promise<void>;
}

/** A free loopback port. */
async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

// Answers written by hand from what nvidia-smi prints; the units are files in a folder.
const NVIDIA_SMI = `#!/bin/sh
S=$GPU_STATE
row() {
  limit=$(cat "$S/limit.$1"); used=0; draw=69.62; util=0
  [ -e "$S/ai.service" ] && used=71800 && draw=601.20 && util=99
  out=''
  for field in $(echo "$2" | tr ',' ' '); do
    case "$field" in
      index) v=$1 ;;
      uuid) v=GPU-0000000$1-0000-0000-0000-000000000000 ;;
      name) v='NVIDIA H100 80GB HBM3' ;;
      driver_version) v=590.48.01 ;;
      persistence_mode) v=Enabled ;;
      power.draw.instant) v='[N/A]' ;;
      power.draw.average|power.draw) v=$draw ;;
      power.min_limit) v=200.00 ;;
      power.max_limit|power.default_limit) v=700.00 ;;
      enforced.power.limit|power.limit) v=$limit ;;
      utilization.gpu) v=$util ;;
      memory.used) v=$used ;;
      temperature.gpu) v=41 ;;
      *) echo "Field \\"$field\\" is not a valid field to query."; exit 2 ;;
    esac
    out="$out\${out:+, }$v"
  done
  echo "$out"
}
case "$1" in
  --help-query-gpu)
    for field in index uuid name driver_version persistence_mode power.draw.instant power.draw power.min_limit power.max_limit power.default_limit enforced.power.limit power.limit utilization.gpu memory.used temperature.gpu; do echo "\\"$field\\""; done ;;
  --query-gpu=*)
    fields=\${1#--query-gpu=}
    case "$3" in
      --loop-ms=*) echo $$ > "$S/loop.pid"; while row 0 "$fields" && row 1 "$fields"; do sleep 1; done ;;
      *) row 0 "$fields"; row 1 "$fields" ;;
    esac ;;
  --query-compute-apps=*)
    if [ -e "$S/ai.service" ]; then echo 'GPU-00000000-0000-0000-0000-000000000000, 999999901, 71800, python3, serve'; fi ;;
  -i) echo "$4.00" > "$S/limit.$2"; echo "Power limit for GPU $2 was set to $4.00 W from 700.00 W." ;;
esac
`;

const SYSTEMCTL = `#!/bin/sh
S=$GPU_STATE
case "$1" in
  start) : > "$S/$2" ;;
  stop) rm -f "$S/$2" ;;
  is-active)
    shift
    code=3
    for unit in "$@"; do
      if [ -e "$S/$unit" ]; then echo active; code=0; else echo inactive; fi
    done
    exit $code ;;
esac
`;

/** Stand-ins of nvidia-smi and systemctl in `bin`; they live by the files in `state`, named by GPU_STATE. */
export async function makeStandIns(
  folder: Folder,
): Promise<{ readonly bin: string; readonly state: string }> {
  const state = join(folder.path, 'state');
  const bin = join(folder.path, 'bin');
  await mkdir(state);
  await mkdir(bin);
  await writeFile(join(bin, 'nvidia-smi'), NVIDIA_SMI, { mode: 0o755 });
  await writeFile(join(bin, 'systemctl'), SYSTEMCTL, { mode: 0o755 });
  for (const gpu of [0, 1]) await writeFile(join(state, `limit.${gpu}`), '700.00\n');
  return { bin, state };
}

/** A real OpenSSH server on a loopback port; its sessions find stand-ins of nvidia-smi and systemctl first on the PATH. */
export async function startSshd(folder: Folder): Promise<RealSshd> {
  const { bin, state } = await makeStandIns(folder);
  const at = (name: string): string => join(folder.path, name);
  await writeFile(at('host_ecdsa'), folder.hostKeys.privateKey, { mode: 0o600 });
  spawnSync('ssh-keygen', ['-q', '-t', 'rsa', '-b', '2048', '-N', '', '-f', at('host_rsa')]);
  const printed = spawnSync('ssh-keygen', ['-lf', at('host_rsa.pub')], { encoding: 'utf8' }).stdout;
  await writeFile(at('authorized_keys'), `${folder.keys.publicKey}\n`, { mode: 0o600 });
  const port = await freePort();
  const config = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${at('host_ecdsa')}`,
    `HostKey ${at('host_rsa')}`,
    `AuthorizedKeysFile ${at('authorized_keys')}`,
    `PidFile ${at('pid')}`,
    'PasswordAuthentication no',
    'PermitRootLogin prohibit-password',
    'StrictModes no',
    'UsePAM no',
    `SetEnv PATH=${bin}:/usr/bin:/bin GPU_STATE=${state}`,
  ];
  await writeFile(at('sshd_config'), `${config.join('\n')}\n`);
  // The privilege separation directory exists only where the service was started once.
  if (userInfo().uid === 0) await mkdir('/run/sshd', { recursive: true, mode: 0o755 });
  const child = spawn(SSHD, ['-D', '-e', '-f', at('sshd_config')], { stdio: ['ignore', 'ignore', 'pipe'] });
  await listening(child);
  const target: RemoteTarget = {
    host: '127.0.0.1',
    port,
    user: userInfo().username,
    keyFile: folder.keyFile,
    hostKey: folder.hostKeys.fingerprint,
  };
  const close = async (): Promise<void> => {
    if (child.exitCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await gone;
  };
  return { target, state, rsaPin: printed.split(' ')[1] ?? '', close };
}

function listening(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      text = (text + chunk.toString('utf8')).slice(-4_000);
      if (text.includes('Server listening')) resolve();
    });
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`sshd ended: ${text}`)));
  });
}

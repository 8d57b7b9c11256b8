/** SSH by node-ssh: one link per host, pinned host key, fixed words, bounded channels, deadlines and output. */
import { createHash } from 'node:crypto';
import type { Client, ConnectConfig } from 'ssh2';
import { asFault, Fault } from '../protocols/faults.ts';
import type { Clock, Remote, RemoteHost, RemoteTarget } from './deps.ts';
import { makeLink } from './remote-link.ts';
import { makeLocalHost } from './remote-local.ts';

export interface RemoteParts {
  readonly clock: Clock;
  /** Text of a private key file; rejects when it cannot be read. */
  readonly readFile: (path: string) => Promise<string>;
}

// ssh2's own offer still holds SHA-1 host keys and MACs; here only what OpenSSH of the last ten years prefers.
const KEX = [
  'curve25519-sha256',
  'curve25519-sha256@libssh.org',
  'ecdh-sha2-nistp256',
  'ecdh-sha2-nistp384',
] as const;
const CIPHERS = ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'aes128-ctr', 'aes256-ctr'] as const;
const MACS = ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256'] as const;
const HOST_KEYS = {
  'ssh-ed25519': ['ssh-ed25519'],
  ecdsa: ['ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256'],
} as const;
/** Name of the machine this runs on, in place of an address. */
const LOCAL = 'local';
type KeyFamily = keyof typeof HOST_KEYS;

/** OpenSSH's fingerprint of a public key blob: `SHA256:` and unpadded base64. */
function fingerprintOf(keyBlob: Uint8Array): string {
  return `SHA256:${createHash('sha256').update(keyBlob).digest('base64').replace(/=+$/, '')}`;
}

/** SSH links to GPU hosts, and with the host name `local` this machine itself. `open` rejects with SSH_HOST_KEY, AUTH_FAILED, SSH_FAILED or NET_*. */
export function makeRemote(parts: RemoteParts): Remote {
  return {
    async open(target, { timeoutMs }): Promise<RemoteHost> {
      if (target.host === LOCAL) return makeLocalHost(parts.clock);
      if (!/^SHA256:[A-Za-z0-9+/]{43}$/.test(target.hostKey)) {
        throw new Fault(
          'TARGET_INVALID',
          'hostKey must be SHA256: and 43 characters, as ssh-keygen -lf prints it',
        );
      }
      const privateKey = await parts.readFile(target.keyFile).catch((error: unknown) => {
        throw new Fault('SSH_FAILED', `cannot read key file ${target.keyFile}`, { cause: error });
      });
      const untilMs = parts.clock.monoMs() + timeoutMs;
      const families = new Set<KeyFamily>(['ssh-ed25519', 'ecdsa', 'ssh-rsa']);
      const seen: string[] = [];
      // A host has a key of each family and the pin names one of them, so a family that does not match is left out and asked again.
      while (families.size > 0) {
        const leftMs = untilMs - parts.clock.monoMs();
        if (leftMs <= 0) throw new Fault('NET_TIMEOUT', `${target.host}:${target.port}`);
        const met: { key?: Uint8Array } = {};
        try {
          return await connect(parts.clock, target, privateKey, [...families], leftMs, met);
        } catch (error) {
          const fingerprint = met.key === undefined ? undefined : fingerprintOf(met.key);
          if (fingerprint === target.hostKey) throw error;
          if (fingerprint === undefined && (seen.length === 0 || !noCommonKey(error))) throw error;
          if (fingerprint === undefined || met.key === undefined) break;
          seen.push(fingerprint);
          families.delete(familyOf(met.key));
        }
      }
      throw new Fault('SSH_HOST_KEY', `${target.host}:${target.port} shows ${seen.join(', ')}`);
    },
  };
}

function familyOf(key: Uint8Array): KeyFamily {
  const lengthBytes = new DataView(key.buffer, key.byteOffset, 4).getUint32(0);
  const name = new TextDecoder().decode(key.subarray(4, 4 + Math.min(lengthBytes, 40)));
  if (name.startsWith('ecdsa')) return 'ecdsa';
  return name === 'ssh-rsa' ? 'ssh-rsa' : 'ssh-ed25519';
}

function noCommonKey(error: unknown): boolean {
  return error instanceof Fault && /no matching host key/i.test(error.detail);
}

async function connect(
  clock: Clock,
  target: RemoteTarget,
  privateKey: string,
  families: readonly KeyFamily[],
  timeoutMs: number,
  met: { key?: Uint8Array },
): Promise<RemoteHost> {
  // Most agents have no such host: SSH would take 17 MB of each.
  const { NodeSSH } = await import('node-ssh');
  const ssh = new NodeSSH();
  const config: ConnectConfig & { privateKey: string } = {
    host: target.host,
    port: target.port,
    username: target.user,
    privateKey,
    readyTimeout: timeoutMs,
    keepaliveInterval: 5_000,
    keepaliveCountMax: 3,
    algorithms: {
      kex: [...KEX],
      cipher: [...CIPHERS],
      hmac: [...MACS],
      serverHostKey: families.flatMap((family) => [...HOST_KEYS[family]]),
    },
    hostVerifier: (key: Uint8Array) => {
      met.key = Uint8Array.from(key);
      return fingerprintOf(key) === target.hostKey;
    },
  };
  const connecting = ssh.connect(config);
  // node-ssh makes the client before its first await, and drops its own error listener once connected.
  const client: Client | null = ssh.connection;
  client?.on('error', () => {});
  // Short packets that wait for each other would make every command some 40 ms slower.
  client?.once('connect', () => client.setNoDelay(true));
  const late = Symbol('late');
  let cancel = (): void => {};
  const deadline = new Promise<typeof late>((resolve) => {
    cancel = clock.after(timeoutMs, () => resolve(late));
  });
  try {
    const outcome = await Promise.race([connecting, deadline]);
    if (outcome === late) throw new Fault('NET_TIMEOUT', `${target.host}:${target.port}`);
    if (client === null || !ssh.isConnected()) throw new Fault('NET_RESET', 'lost as soon as connected');
    return makeLink(client, clock);
  } catch (error) {
    connecting.catch(() => {});
    client?.destroy();
    throw connectFault(error, `${target.host}:${target.port}`);
  } finally {
    cancel();
  }
}

function connectFault(error: unknown, where: string): Fault {
  if (error instanceof Fault) return error;
  if (!(error instanceof Error)) return asFault(error, 'SSH_FAILED');
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const level = 'level' in error && typeof error.level === 'string' ? error.level : '';
  const detail = `${where}: ${error.message.slice(0, 200)}`;
  const cause = { cause: error };
  if (code === 'ECONNREFUSED') return new Fault('NET_REFUSED', detail, cause);
  if (['EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN'].includes(code))
    return new Fault('NET_UNREACHABLE', detail, cause);
  if (level === 'client-timeout' || (code === 'ETIMEDOUT' && level === 'client-socket'))
    return new Fault('NET_TIMEOUT', detail, cause);
  if (level === 'client-authentication') return new Fault('AUTH_FAILED', detail, cause);
  if (code === 'ECONNRESET' || code === 'EPIPE') return new Fault('NET_RESET', detail, cause);
  return new Fault('SSH_FAILED', detail, cause);
}

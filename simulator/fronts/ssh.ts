/** Simulated GPU hosts on real SSH: one server per loopback address, public-key login, commands answered by an ExecDevice. */
import { createHash, generateKeyPairSync } from 'node:crypto';
import { Socket } from 'node:net';
import ssh2 from 'ssh2';
import type { AuthContext, Connection, ServerChannel, Session } from 'ssh2';
import type { Clock } from '../../host/deps.ts';
import { Fault } from '../../protocols/faults.ts';
import type { ExecDevice, SimulatedEndpoint } from '../device.ts';

export interface SshKeys {
  /** SEC1 PEM of a P-256 key. */
  readonly privateKey: string;
  /** One line in OpenSSH's form. */
  readonly publicKey: string;
  /** `SHA256:…` as ssh-keygen -lf prints it. */
  readonly fingerprint: string;
}

/** A fresh P-256 key pair: ssh2's own ed25519 generator now and then makes keys that cannot be parsed. */
export function makeSshKeys(): SshKeys {
  const pair = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const jwk = pair.publicKey.export({ format: 'jwk' });
  const point = Buffer.concat([
    Buffer.from([4]),
    Buffer.from(jwk.x ?? '', 'base64url'),
    Buffer.from(jwk.y ?? '', 'base64url'),
  ]);
  const blob = Buffer.concat([sshString('ecdsa-sha2-nistp256'), sshString('nistp256'), sshString(point)]);
  const hash = createHash('sha256').update(blob).digest('base64').replace(/=+$/, '');
  return {
    privateKey: pair.privateKey.export({ type: 'sec1', format: 'pem' }).toString(),
    publicKey: `ecdsa-sha2-nistp256 ${blob.toString('base64')} switchyard`,
    fingerprint: `SHA256:${hash}`,
  };
}

function sshString(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

export type SshEndpoint = Extract<SimulatedEndpoint, { kind: 'ssh' }>;

export interface SshFrontOptions {
  readonly clock: Clock;
  /** SEC1 ECDSA PEM shown by every host. */
  readonly hostKey: string;
  /** OpenSSH public key line that may log in, under any user name. */
  readonly authorizedKey: string;
}

/** As sshd's MaxSessions. */
const MAX_SESSIONS = 10;
const MAX_COMMAND = 8_192;

/** Listens on every endpoint; rejects with LISTEN_FAILED when an address is not loopback or cannot be bound. Port 0 takes a free one, told by `ports`. */
export async function serveSsh(
  endpoints: readonly SshEndpoint[],
  options: SshFrontOptions,
): Promise<{ readonly ports: readonly number[]; close(): Promise<void> }> {
  const allowed = ssh2.utils.parseKey(options.authorizedKey);
  if (allowed instanceof Error) throw new Fault('SSH_FAILED', `authorizedKey: ${allowed.message}`);
  const connections = new Set<Connection>();
  const serve = async (endpoint: SshEndpoint): Promise<ssh2.Server> => {
    if (endpoint.host !== '::1' && !endpoint.host.startsWith('127.')) {
      throw new Fault('LISTEN_FAILED', `${endpoint.host}: simulated hosts listen on loopback addresses only`);
    }
    const server = new ssh2.Server({ hostKeys: [options.hostKey] }, (connection) => {
      connections.add(connection);
      connection.on('close', () => connections.delete(connection));
      connection.on('error', () => connections.delete(connection));
      connection.on('authentication', (context) => authenticate(context, allowed));
      // Otherwise every command waits twice for a delayed acknowledgement, some 90 ms.
      socketOf(connection)?.setNoDelay(true);
      attend(connection, endpoint.device, options.clock);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: Error) =>
        reject(new Fault('LISTEN_FAILED', `${endpoint.host}:${endpoint.port}: ${error.message}`)),
      );
      server.listen(endpoint.port, endpoint.host, () => resolve());
    });
    server.on('error', () => {});
    return server;
  };
  const started = await Promise.allSettled(endpoints.map(serve));
  const servers = started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const close = async (): Promise<void> => {
    const closing = servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    for (const connection of connections) connection.end();
    const cancel = options.clock.after(500, () => {
      // A client that went away without goodbye would keep its server open.
      for (const connection of connections) socketOf(connection)?.destroy();
    });
    await Promise.all(closing);
    cancel();
  };
  for (const result of started) {
    if (result.status === 'fulfilled') continue;
    await close();
    throw result.reason;
  }
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  return { ports, close };
}

/** The socket below a connection: ssh2's types do not show what its server has. */
function socketOf(connection: Connection): Socket | undefined {
  const socket: unknown = Reflect.get(connection, '_sock');
  return socket instanceof Socket ? socket : undefined;
}

function authenticate(context: AuthContext, allowed: ssh2.ParsedKey): void {
  if (context.method !== 'publickey') return context.reject(['publickey']);
  const same = context.key.algo === allowed.type && allowed.getPublicSSH().equals(context.key.data);
  const { signature, blob } = context;
  // Without a signature the client only asks whether the key would do.
  const proof: unknown =
    signature === undefined || (blob !== undefined && allowed.verify(blob, signature, context.hashAlgo));
  return same && proof === true ? context.accept() : context.reject(['publickey']);
}

function attend(connection: Connection, device: ExecDevice, clock: Clock): void {
  let sessions = 0;
  connection.on('ready', () => {
    connection.on('session', (accept, reject) => {
      if (sessions >= MAX_SESSIONS) return reject();
      sessions += 1;
      const session: Session = accept();
      session.on('close', () => {
        sessions -= 1;
      });
      session.on('exec', (acceptExec, rejectExec, info) => {
        if (info.command.length > MAX_COMMAND) return rejectExec();
        const channel = acceptExec();
        channel.on('error', () => {});
        // A channel nobody reads never closes.
        channel.resume();
        return answer(channel, info.command, device, clock);
      });
      return undefined;
    });
  });
}

function answer(channel: ServerChannel, command: string, device: ExecDevice, clock: Clock): void {
  const reply = device.exec(command, clock.monoMs());
  if (reply.kind === 'silence') return;
  let cancel = (): void => {};
  channel.on('close', () => cancel());
  if (reply.kind === 'result') {
    cancel = clock.after(reply.afterMs, () => {
      if (reply.stdout !== '') channel.write(reply.stdout);
      if (reply.stderr !== '') channel.stderr.write(reply.stderr);
      channel.exit(reply.code);
      channel.end();
    });
    return;
  }
  const print = (): void => {
    const lines = reply.lines(clock.monoMs());
    // A reader that does not read costs rounds, not memory.
    if (lines.length > 0 && !channel.writableNeedDrain) channel.write(`${lines.join('\n')}\n`);
    cancel = clock.after(reply.everyMs, print);
  };
  print();
}

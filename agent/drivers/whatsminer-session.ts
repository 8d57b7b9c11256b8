import type { Endpoint } from '../../host/deps.ts';
import { parseCgminer, statusOf } from '../../protocols/asic/cgminer.ts';
import type { JsonObject } from '../../protocols/asic/cgminer.ts';
import {
  decodeWhatsminerReply,
  encodeWhatsminer,
  encodeWhatsminerWrite,
  tokenOf,
  whatsminerKey,
  whatsminerSign,
} from '../../protocols/asic/whatsminer.ts';
import type { WhatsminerKeys } from '../../protocols/asic/whatsminer.ts';
import { Fault } from '../../protocols/faults.ts';
import { askBytes } from '../ask-cgminer.ts';
import type { Asked, Deadline } from '../ask-cgminer.ts';
import type { DeviceIo } from '../driver.ts';

/** Tokens live 30 minutes; a margin keeps one from dying on the way. */
const TOKEN_MAX_AGE_MS = 25 * 60_000;
const TOKEN_TRIES = 3;

/** The v2 API of one machine: plain reads, and writes under a token that is renewed when it is old or refused. */
export class WhatsminerSession {
  readonly #io: DeviceIo;
  readonly #endpoint: Endpoint;
  readonly #password: string | undefined;
  #keys: WhatsminerKeys | undefined;
  #keysAtMs = 0;
  #salt = '';

  constructor(io: DeviceIo, endpoint: Endpoint, password: string | undefined) {
    this.#io = io;
    this.#endpoint = endpoint;
    this.#password = password;
  }

  /** A read. Rejects with a Fault: NET_*, ANSWER_*, VERB_UNSUPPORTED when the device refuses. */
  async ask(cmd: string, deadline: Deadline): Promise<Asked> {
    const { bytes, atMs } = await askBytes(this.#io, this.#endpoint, encodeWhatsminer(cmd), deadline);
    const answer = parseCgminer(bytes);
    if (answer instanceof Fault) throw answer;
    const status = statusOf(answer.value);
    if (status?.level === 'E' || status?.level === 'F') {
      // Over the number of connections or tokens: busy, not unable.
      throw new Fault(
        status.code === 136 ? 'QUEUE_FULL' : 'VERB_UNSUPPORTED',
        `${cmd}: ${status.message.slice(0, 100)}`,
      );
    }
    return { ...answer, atMs };
  }

  /** A privileged command. Resolves on code 131; rejects with a Fault: NET_*, ANSWER_*, AUTH_FAILED, VERB_*. */
  async command(cmd: string, params: JsonObject, deadline: Deadline): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const keys = await this.#token(deadline);
      const request = encodeWhatsminerWrite(keys, cmd, params);
      const { bytes } = await askBytes(this.#io, this.#endpoint, request, deadline);
      const answer = decodeWhatsminerReply(keys.key, bytes);
      if (answer instanceof Fault) throw answer;
      const status = statusOf(answer.value);
      if (status?.code === 131) return;
      if (status?.code !== 135 || attempt >= TOKEN_TRIES) throw refusal(cmd, status);
      // The token was refused, so nothing was done: asking again is safe.
      this.#keys = undefined;
    }
  }

  /** Renews a token that is missing or half its life old, when there is a password. Never rejects. */
  async keepToken(deadline: Deadline): Promise<void> {
    if (this.#password === undefined) return;
    const young = this.#io.clock.monoMs() - this.#keysAtMs < TOKEN_MAX_AGE_MS / 2;
    if (this.#keys && young) return;
    await this.#renew(this.#password, deadline).catch(() => undefined);
  }

  async #token(deadline: Deadline): Promise<WhatsminerKeys> {
    if (this.#keys && this.#io.clock.monoMs() - this.#keysAtMs < TOKEN_MAX_AGE_MS) return this.#keys;
    if (this.#password === undefined) throw new Fault('AUTH_FAILED', 'no password is given');
    return this.#renew(this.#password, deadline);
  }

  async #renew(password: string, deadline: Deadline): Promise<WhatsminerKeys> {
    const nowMs = this.#io.clock.monoMs();
    const answer = await this.ask('get_token', deadline);
    const token = tokenOf(answer.value);
    if (!token) {
      throw new Fault('ANSWER_GARBAGE', `no token: ${statusOf(answer.value)?.message.slice(0, 100) ?? ''}`);
    }
    const key =
      this.#keys && this.#salt === token.salt ? this.#keys.key : whatsminerKey(password, token.salt);
    this.#keys = { key, sign: whatsminerSign(key, token) };
    this.#keysAtMs = nowMs;
    this.#salt = token.salt;
    return this.#keys;
  }
}

function refusal(cmd: string, status: { code: number | undefined; message: string } | undefined): Fault {
  const said = `${cmd}: code ${status?.code ?? 'none'} ${status?.message.slice(0, 100) ?? ''}`.trim();
  switch (status?.code) {
    case 14:
      return new Fault('VERB_UNSUPPORTED', said);
    case 23:
    case 135:
      return new Fault('AUTH_FAILED', `${said}: the password does not fit`);
    case 45:
      return new Fault(
        'AUTH_FAILED',
        `${said}: enable the write API by changing the password in the vendor’s tool`,
      );
    case 136:
      return new Fault('QUEUE_FULL', said);
    default:
      return new Fault('VERB_REFUSED', said);
  }
}

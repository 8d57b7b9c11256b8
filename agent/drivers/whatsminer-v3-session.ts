import type { Endpoint } from '../../host/deps.ts';
import { ANSWER_MAX_BYTES } from '../../protocols/asic/cgminer.ts';
import type { Json, JsonObject } from '../../protocols/asic/cgminer.ts';
import {
  decodeWhatsminerV3,
  encodeWhatsminerV3,
  encodeWhatsminerV3Write,
  makeIsWholeWhatsminerV3,
  sealedWhatsminerV3,
} from '../../protocols/asic/whatsminer-v3.ts';
import { Fault } from '../../protocols/faults.ts';
import type { Asked, Deadline } from '../ask-cgminer.ts';
import type { DeviceIo } from '../driver.ts';
import { partOf, wordOf } from '../miner-readings.ts';
import { middleMs } from '../readings.ts';

/** Commands whose words hold secrets. */
const SEALED: ReadonlySet<string> = new Set(['set.miner.pools']);

/** The v3 API of one machine: plain reads, and writes proven with the device's salt, asked for anew when one is refused. */
export class WhatsminerV3Session {
  readonly #io: DeviceIo;
  readonly #endpoint: Endpoint;
  readonly #account: string;
  readonly #password: string | undefined;
  #salt: string | undefined;

  constructor(
    io: DeviceIo,
    endpoint: Endpoint,
    { account, password }: { readonly account: string; readonly password: string | undefined },
  ) {
    this.#io = io;
    this.#endpoint = endpoint;
    this.#account = account;
    this.#password = password;
  }

  /** A read. Rejects with a Fault: NET_*, ANSWER_*, VERB_UNSUPPORTED (no such command), VERB_REFUSED. */
  async ask(cmd: string, param: string | undefined, deadline: Deadline): Promise<Asked> {
    const answer = await this.#exchange(
      encodeWhatsminerV3(param === undefined ? { cmd } : { cmd, param }),
      deadline,
    );
    const fault = refusal(cmd, answer.value);
    // What broke off before its code came is judged by what did come.
    if (fault && !(answer.partial && answer.value['code'] === undefined)) throw fault;
    return answer;
  }

  /** A privileged command. Resolves on code 0; rejects with a Fault: NET_*, ANSWER_*, AUTH_FAILED, VERB_*. */
  async command(cmd: string, param: Json | undefined, deadline: Deadline): Promise<void> {
    const kept = this.#salt;
    const salt = kept ?? (await this.renewSalt(deadline));
    const fault = await this.#write(cmd, param, salt, deadline);
    if (!fault) return;
    if (fault.code !== 'AUTH_FAILED') throw fault;
    // The token was refused, so nothing was done. With a salt of before, a new one may be all that is missing.
    this.#salt = undefined;
    if (kept === undefined) throw fault;
    const renewed = await this.renewSalt(deadline);
    if (renewed === kept) throw fault;
    const again = await this.#write(cmd, param, renewed, deadline);
    if (again) throw again;
  }

  /** Asks for the salt when there is a password and none is known. Never rejects. */
  async keepSalt(deadline: Deadline): Promise<void> {
    if (this.#password === undefined || this.#salt !== undefined) return;
    await this.renewSalt(deadline).catch(() => undefined);
  }

  /** The device's salt, asked for now. Rejects as `ask`, or ANSWER_GARBAGE. */
  async renewSalt(deadline: Deadline): Promise<string> {
    const { value } = await this.ask('get.device.info', 'salt', deadline);
    const salt = wordOf(partOf(value, 'msg', 'salt'));
    if (salt === '') throw new Fault('ANSWER_GARBAGE', 'get.device.info without a salt');
    this.#salt = salt;
    return salt;
  }

  async #write(
    cmd: string,
    param: Json | undefined,
    salt: string,
    deadline: Deadline,
  ): Promise<Fault | undefined> {
    if (this.#password === undefined) return new Fault('AUTH_FAILED', 'no password is given');
    const proof = {
      account: this.#account,
      password: this.#password,
      salt,
      ts: Math.floor(this.#io.clock.wallMs() / 1_000),
    };
    const words = SEALED.has(cmd) && param !== undefined ? sealedWhatsminerV3(cmd, param, proof) : param;
    const answer = await this.#exchange(encodeWhatsminerV3Write(cmd, words, proof), deadline);
    if (answer.partial) throw new Fault('ANSWER_PARTIAL', cmd);
    return refusal(cmd, answer.value);
  }

  async #exchange(request: Uint8Array, deadline: Deadline): Promise<Asked> {
    const startMs = this.#io.clock.monoMs();
    const { bytes } = await this.#io.net.exchange(this.#endpoint, request, {
      timeoutMs: deadline.leftMs(),
      maxBytes: ANSWER_MAX_BYTES,
      complete: makeIsWholeWhatsminerV3(),
    });
    const answer = decodeWhatsminerV3(bytes);
    if (answer instanceof Fault) throw answer;
    return { ...answer, atMs: middleMs(this.#io.clock, startMs) };
  }
}

/** Why an answer is a refusal; undefined: code 0. */
function refusal(cmd: string, value: JsonObject): Fault | undefined {
  const code = value['code'];
  if (code === 0) return undefined;
  const said = `${cmd}: code ${typeof code === 'number' ? code : 'none'} ${wordOf(value['msg'])}`.trim();
  switch (code) {
    case -1:
    case -3:
      return new Fault('VERB_REFUSED', said);
    case -2:
      return new Fault('VERB_UNSUPPORTED', said);
    case -4:
      return new Fault(
        'AUTH_FAILED',
        `${said}: a wrong password, or the write API is not enabled in the vendor’s tool`,
      );
    default:
      return new Fault('ANSWER_GARBAGE', said);
  }
}

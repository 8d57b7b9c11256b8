import { createHash, timingSafeEqual } from 'node:crypto';

import type { Clock, Random } from '../../host/deps.ts';
import { Fault } from '../../protocols/faults.ts';

/** Crockford's alphabet: no letter that reads as a digit. Ten of 32 are 50 bits. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const CODE_CHARS = 10;
const TOKEN_CHARS = 52;
const CODE_LIFE_MS = 15 * 60_000;
const TICKET_LIFE_MS = 30_000;
const SESSION_IDLE_MS = 12 * 3_600_000;
const SESSIONS_MAX = 100;
const CODES_MAX = 8;
const WRONG_PER_MIN = 5;
const BACK_OFF_MS = 60_000;
const BACK_OFF_MAX_MS = 15 * 60_000;
const ADDRESSES_MAX = 1_000;

/** One logged-in person at one console; lives in memory only. */
export interface Session {
  readonly number: number;
  /** Called when the session ends, so that its sockets end with it. */
  readonly onEnd: Set<() => void>;
}

interface Code {
  readonly hash: Buffer;
  untilMs: number;
}

interface Tries {
  wrongAtMs: number[];
  blocks: number;
  blockedUntilMs: number;
}

/** A refusal for too many wrong codes; `untilMs`: UTC ms when the next try is heard. */
export class Throttled extends Fault {
  readonly untilMs: number;

  constructor(untilMs: number) {
    super('LOGIN_THROTTLED', `no try is heard before ${new Date(untilMs).toISOString()}`);
    this.untilMs = untilMs;
  }
}

/**
 * One-time codes, sessions and tickets. Only hashes are kept, compared in constant time; every table is bounded.
 * `random` must come from the operating system outside tests.
 */
export class Logins {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #reusable: boolean;
  #codes: Code[] = [];
  #sessions = new Map<string, { session: Session; seenMs: number }>();
  #tickets = new Map<string, { session: Session; untilMs: number }>();
  #tries = new Map<string, Tries>();
  #count = 0;

  /** `reusable`: a code stays good for its lifetime after each use, for the page opened by its printed address. */
  constructor(options: { readonly clock: Clock; readonly random: Random; readonly reusable: boolean }) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#reusable = options.reusable;
  }

  /** A fresh code of 50 bits, good for 15 minutes. */
  issueCode(): { code: string; expiresAtMs: number } {
    const text = this.#secret(CODE_CHARS);
    const nowMs = this.#clock.monoMs();
    this.#codes = this.#codes.filter((code) => code.untilMs > nowMs).slice(1 - CODES_MAX);
    this.#codes.push({ hash: digest(text), untilMs: nowMs + CODE_LIFE_MS });
    return { code: `${text.slice(0, 5)}-${text.slice(5)}`, expiresAtMs: this.#clock.wallMs() + CODE_LIFE_MS };
  }

  /** Session and token for a code. Throws LOGIN_REFUSED or Throttled; `from`: the peer's address. */
  exchange(code: string, from: string): { session: Session; token: string } {
    const nowMs = this.#clock.monoMs();
    const tries = this.#triesOf(from, nowMs);
    if (nowMs < tries.blockedUntilMs) throw this.#throttled(tries.blockedUntilMs - nowMs);
    const given = digest(normal(code));
    const match = this.#codes.find((known) => timingSafeEqual(known.hash, given) && known.untilMs > nowMs);
    if (match === undefined) {
      this.#countWrong(tries, nowMs);
      throw new Fault('LOGIN_REFUSED', 'the code is wrong, used or older than 15 minutes');
    }
    if (this.#reusable) match.untilMs = nowMs + CODE_LIFE_MS;
    else this.#codes = this.#codes.filter((known) => known !== match);
    this.#tries.delete(from);
    return this.#open(nowMs);
  }

  /** The living session of a token, else undefined. */
  sessionOf(token: string): Session | undefined {
    const found = this.#sessions.get(keyOf(token));
    if (found === undefined) return undefined;
    const nowMs = this.#clock.monoMs();
    if (nowMs - found.seenMs > SESSION_IDLE_MS) {
      this.end(found.session);
      return undefined;
    }
    found.seenMs = nowMs;
    return found.session;
  }

  /** A single-use ticket for the socket, good for 30 s. */
  ticketFor(session: Session): string {
    const nowMs = this.#clock.monoMs();
    for (const [hash, ticket] of this.#tickets) if (ticket.untilMs <= nowMs) this.#tickets.delete(hash);
    if (this.#tickets.size >= ADDRESSES_MAX) throw new Fault('QUEUE_FULL', 'tickets');
    const ticket = this.#secret(TOKEN_CHARS);
    this.#tickets.set(keyOf(ticket), { session, untilMs: nowMs + TICKET_LIFE_MS });
    return ticket;
  }

  /** The session a ticket stands for, once. */
  redeem(ticket: string): Session | undefined {
    const hash = keyOf(ticket);
    const found = this.#tickets.get(hash);
    this.#tickets.delete(hash);
    if (found === undefined || found.untilMs <= this.#clock.monoMs()) return undefined;
    return this.alive(found.session) ? found.session : undefined;
  }

  alive(session: Session): boolean {
    for (const entry of this.#sessions.values()) if (entry.session === session) return true;
    return false;
  }

  /** Ends a session and every socket of it at once. */
  end(session: Session): void {
    for (const [hash, entry] of this.#sessions) if (entry.session === session) this.#sessions.delete(hash);
    for (const end of session.onEnd) end();
  }

  #open(nowMs: number): { session: Session; token: string } {
    if (this.#sessions.size >= SESSIONS_MAX) {
      const oldest = [...this.#sessions.values()].reduce((a, b) => (b.seenMs < a.seenMs ? b : a));
      this.end(oldest.session);
    }
    const token = this.#secret(TOKEN_CHARS);
    this.#count += 1;
    const session: Session = { number: this.#count, onEnd: new Set() };
    this.#sessions.set(keyOf(token), { session, seenMs: nowMs });
    return { session, token };
  }

  #triesOf(from: string, nowMs: number): Tries {
    const known = this.#tries.get(from);
    if (known !== undefined) return known;
    if (this.#tries.size >= ADDRESSES_MAX) {
      for (const [address, tries] of this.#tries) {
        if (tries.blockedUntilMs <= nowMs) this.#tries.delete(address);
      }
      // Still full: everyone blocked is under attack from many addresses; the oldest makes room.
      const [oldest] = this.#tries.keys();
      if (this.#tries.size >= ADDRESSES_MAX && oldest !== undefined) this.#tries.delete(oldest);
    }
    const fresh: Tries = { wrongAtMs: [], blocks: 0, blockedUntilMs: -1 };
    this.#tries.set(from, fresh);
    return fresh;
  }

  #countWrong(tries: Tries, nowMs: number): void {
    tries.wrongAtMs = [...tries.wrongAtMs.filter((atMs) => nowMs - atMs < 60_000), nowMs];
    if (tries.wrongAtMs.length < WRONG_PER_MIN) return;
    tries.blockedUntilMs = nowMs + Math.min(BACK_OFF_MS * 2 ** tries.blocks, BACK_OFF_MAX_MS);
    tries.blocks += 1;
    tries.wrongAtMs = [];
  }

  #throttled(leftMs: number): Throttled {
    return new Throttled(this.#clock.wallMs() + leftMs);
  }

  #secret(chars: number): string {
    return Array.from({ length: chars }, () => ALPHABET.charAt(Math.floor(this.#random.next() * 32))).join(
      '',
    );
  }
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
const keyOf = (secret: string): string => digest(secret).toString('base64');
/** As a person types it: any case, with or without the dash, O for 0, I or L for 1. */
const normal = (code: string): string =>
  code.toUpperCase().replaceAll(/[\s-]/g, '').replaceAll('O', '0').replaceAll(/[IL]/g, '1');

import { withFacts } from '../../../agent/driver.ts';
import type { Device, Verb } from '../../../agent/driver.ts';
import type { VirtualClock } from '../../../proof/virtual-clock.ts';
import { Fault } from '../../../protocols/faults.ts';
import type { Identity, Mode, Readings } from '../../../protocols/reading.ts';
import { PLAIN_VERB } from '../../../protocols/verb-facts.ts';

const TOY = { ...PLAIN_VERB, effectS: { typical: 5, atMost: 30 }, source: 'a toy' } as const;
const TOY_VERBS = { sleep: TOY, wake: TOY, reboot: TOY, locate: TOY } as const;

/** A miner of the test's own: obeys after a while, or not at all. */
export class Miner implements Device {
  readonly driver = 'toy';
  mode: Mode;
  calls: Verb[] = [];
  /** When each of them came, monotonic ms. */
  readonly callsMs: number[] = [];
  behaviour: 'good' | 'dead' | 'ignores' | 'hangs' | 'deaf' | 'refuses' = 'good';
  /** It is starting: it draws next to nothing yet, and does not say what it does. */
  isStarting = false;
  /** Without it nothing is drawn, and what was on its way ends. */
  hasPower = true;
  /** Its firmware tells no power while it sleeps. */
  silentAtRest = false;
  readonly #clock: VirtualClock;
  verbs: Device['verbs'];

  constructor(clock: VirtualClock, mode: Mode) {
    this.#clock = clock;
    this.mode = mode;
    this.verbs = withFacts(TOY_VERBS, {
      sleep: () => this.#set('sleep', 'sleep', 3_000),
      wake: () => this.#set('wake', 'mine', 5_000),
      reboot: () => this.#set('reboot', 'mine', 5_000),
      locate: () => this.#set('locate', this.mode, 0),
    });
  }

  get powerW(): number {
    return !this.hasPower ? 0 : this.mode === 'mine' && !this.isStarting ? 3_200 : 30;
  }

  async #set(verb: Verb, mode: Mode, afterMs: number): Promise<void> {
    await this.#wait();
    if (this.behaviour === 'dead') throw new Fault('NET_TIMEOUT');
    // It is read, and no command gets through.
    if (this.behaviour === 'deaf') throw new Fault('NET_RESET');
    if (this.behaviour === 'refuses') throw new Fault('AUTH_FAILED');
    this.calls.push(verb);
    this.callsMs.push(this.#clock.monoMs());
    if (this.behaviour === 'good')
      this.#clock.after(afterMs, () => (this.mode = this.hasPower ? mode : this.mode));
  }

  #wait(): Promise<void> {
    return new Promise((resolve) => this.#clock.after(30, resolve));
  }

  identify(): Promise<Identity> {
    return Promise.reject(new Fault('NET_TIMEOUT'));
  }

  async read(): Promise<Readings> {
    if (this.behaviour === 'hangs') return new Promise(() => undefined);
    await this.#wait();
    if (this.behaviour === 'dead') throw new Fault('NET_TIMEOUT');
    const atMs = this.#clock.wallMs();
    const quiet = this.silentAtRest && this.mode === 'sleep';
    return {
      power: quiet
        ? { ok: false, why: 'VALUE_MISSING', detail: '', atMs }
        : { ok: true, value: this.powerW, unit: 'W', quality: 'good', atMs, measured: true },
      hashrate: { ok: true, value: this.mode === 'mine' ? 1e14 : 0, unit: 'H/s', quality: 'good', atMs },
      mode: this.isStarting
        ? { ok: false, why: 'VALUE_MISSING', detail: '', atMs }
        : { ok: true, value: this.mode, unit: 'text', quality: 'good', atMs },
    };
  }

  close(): void {}
}

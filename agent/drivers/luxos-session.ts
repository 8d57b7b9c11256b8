import type { Endpoint } from '../../host/deps.ts';
import { encodeCgminer, field, parseCgminer, sectionOf, statusOf } from '../../protocols/asic/cgminer.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import { askBytes } from '../ask-cgminer.ts';
import type { Asked, Deadline } from '../ask-cgminer.ts';
import type { DeviceIo } from '../driver.ts';
import { wordOf } from '../miner-readings.ts';

/** Levels of an answer that say that a command was taken: success, information, a warning beside it. */
const DONE: readonly string[] = ['S', 'I', 'W'];

/** Says a command under the session at hand, `sid,…` before its words. Rejects as `LuxosSession.ask`; ANSWER_* also without a whole word of success. */
export type Say = (command: string, words: string, deadline: Deadline) => Promise<Asked>;

/** The API of one machine: plain reads, and commands in the one session it has. */
export class LuxosSession {
  readonly #io: DeviceIo;
  readonly #endpoint: Endpoint;
  /** Ours wait for each other: a second session is refused. */
  #turn: Promise<unknown> = Promise.resolve();
  /** One connection at a time: readings and commands wait for each other. */
  #exchange: Promise<unknown> = Promise.resolve();
  /** A session of our own that has not been seen to end: found again, it is still ours to end. */
  #left: string | undefined;

  constructor(io: DeviceIo, endpoint: Endpoint) {
    this.#io = io;
    this.#endpoint = endpoint;
  }

  /** Rejects with a Fault: NET_*, ANSWER_*, VERB_UNSUPPORTED (no such command), VERB_REFUSED, QUEUE_FULL (another session). */
  ask(command: string, parameter: string | undefined, deadline: Deadline): Promise<Asked> {
    const exchange = this.#exchange.then(() => this.#ask(command, parameter, deadline));
    this.#exchange = exchange.catch(() => undefined);
    return exchange;
  }

  async #ask(command: string, parameter: string | undefined, deadline: Deadline): Promise<Asked> {
    const { bytes, atMs } = await askBytes(
      this.#io,
      this.#endpoint,
      encodeCgminer(command, parameter),
      deadline,
    );
    const answer = parseCgminer(bytes);
    if (answer instanceof Fault) throw answer;
    const status = statusOf(answer.value);
    if (status?.level !== 'E' && status?.level !== 'F') return { ...answer, atMs };
    // Answers of this family repeat the words of a command, and those of addpool hold a password.
    const why = command === 'addpool' ? '' : status.message.slice(0, 100);
    const said = `${command}: code ${status.code ?? 'none'} ${why}`.trim();
    if (status.code === 14) throw new Fault('VERB_UNSUPPORTED', said);
    throw new Fault(/session/i.test(status.message) ? 'QUEUE_FULL' : 'VERB_REFUSED', said);
  }

  /** A command that is proven by nothing. Rejects as `ask`; ANSWER_* also without a whole word of success. */
  async tell(command: string, parameter: string, deadline: Deadline): Promise<Asked> {
    const answer = await this.ask(command, parameter, deadline);
    if (answer.partial) throw new Fault('ANSWER_PARTIAL', command);
    // Without a word of success nobody knows whether it was done.
    if (!DONE.includes(statusOf(answer.value)?.level ?? ''))
      throw new Fault('ANSWER_GARBAGE', `${command}: no status of success in the answer`);
    return answer;
  }

  /** Does what needs a session, and ends the session if it was ours: left open it would keep others out. */
  inSession(deadline: Deadline, work: (say: Say) => Promise<void>): Promise<void> {
    const turn = this.#turn.then(async () => {
      const { id, own } = await this.#session(deadline);
      const say: Say = (command, words, until) =>
        this.tell(command, words === '' ? id : `${id},${words}`, until);
      try {
        await work(say);
      } finally {
        if (own) await this.#logoff(id, deadline);
      }
    });
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #logoff(id: string, deadline: Deadline): Promise<void> {
    this.#left = id;
    await this.ask('logoff', id, deadline).then(
      () => {
        this.#left = undefined;
      },
      () => undefined,
    );
  }

  /** A session of our own; where there is one already, that one, which is not ours to end. */
  async #session(deadline: Deadline): Promise<{ readonly id: string; readonly own: boolean }> {
    try {
      const logon = await this.ask('logon', undefined, deadline);
      const id = sessionOf(logon);
      if (id === '' || logon.partial)
        throw new Fault(logon.partial ? 'ANSWER_PARTIAL' : 'ANSWER_GARBAGE', 'logon: no whole SessionID');
      return { id, own: true };
    } catch (error) {
      const fault = asFault(error);
      if (fault.code !== 'QUEUE_FULL' && fault.code !== 'VERB_REFUSED') throw fault;
      const id = sessionOf(await this.ask('session', undefined, deadline));
      if (id === '') throw fault;
      return { id, own: id === this.#left };
    }
  }
}

function sessionOf({ value }: Asked): string {
  const [session] = sectionOf(value, 'SESSION');
  return session ? wordOf(field(session, 'SessionID')) : '';
}

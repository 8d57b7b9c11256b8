import type { Clock, Http } from '../../host/deps.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { ControllerEvent, FeedName } from '../core/events.ts';

/** One HTTP source: where, how often, and how its text becomes events. */
export interface FeedSource {
  readonly feed: FeedName;
  readonly url: string;
  readonly periodMs: number;
  /** Throws a Fault for what cannot be used. */
  readonly read: (text: string, nowMs: number) => ControllerEvent;
}

const TIMEOUT_MS = 4_000;
const MAX_BYTES = 1_000_000;

/** Asks the source at once and then every period; failures are events too. Returns how to stop. */
export function pollFeed(
  source: FeedSource,
  deps: { clock: Clock; http: Http },
  emit: (event: ControllerEvent) => void,
): () => void {
  let stopped = false;
  let cancel = (): void => {};
  const round = async (): Promise<void> => {
    const startedMs = deps.clock.monoMs();
    let event: ControllerEvent;
    try {
      const answer = await deps.http.request({
        method: 'GET',
        url: source.url,
        timeoutMs: TIMEOUT_MS,
        maxBytes: MAX_BYTES,
      });
      if (answer.status !== 200) throw new Fault('SIGNAL_LOST', `HTTP ${answer.status}`);
      event = source.read(new TextDecoder().decode(answer.body), deps.clock.wallMs());
    } catch (error) {
      const fault = asFault(error, 'SIGNAL_INVALID');
      event = {
        kind: 'feed-failed',
        feed: source.feed,
        code: fault.code,
        detail: fault.detail.slice(0, 200),
      };
    }
    if (stopped) return;
    emit(event);
    const waitMs = Math.max(0, source.periodMs - (deps.clock.monoMs() - startedMs));
    cancel = deps.clock.after(waitMs, () => void round());
  };
  void round();
  return () => {
    stopped = true;
    cancel();
  };
}

import { METER_ALARMS } from '../../protocols/console/protocol.ts';
import type { ConsoleView } from '../../protocols/console/view.ts';
import type { ConsoleLink } from '../link.ts';
import type { Asked } from './commandline.ts';

/** As much of an alarm's words as a person's word on them carries. */
const SEEN_CHARS = 400;

/** A person's word on an input or a meter, in what the view shows of it now. Gives the line that says it, and the same as JSON. */
export async function agree(
  link: ConsoleLink,
  view: ConsoleView | undefined,
  asked: Extract<Asked, { kind: 'agree' | 'agree-meter' }>,
  ask: (text: string) => Promise<string | undefined>,
): Promise<readonly [string, object]> {
  if (asked.kind === 'agree') {
    const waits = view?.signals.find((signal) => signal.kind === asked.input)?.waits;
    if (!waits) throw new Error(`${asked.input}: nothing waits for a witness`);
    await link.request('input.agree', { input: asked.input, value: waits.value });
    return [`agreed: ${asked.input} ${waits.value}`, { agreed: asked.input, value: waits.value }];
  }
  const { meter, of: kind } = asked;
  const code = METER_ALARMS[kind];
  const alarm = view?.alarms.find((one) => one.code === code && one.subject === meter);
  if (alarm === undefined) throw new Error(`AGREE_REFUSED: no ${code} stands against ${meter}`);
  const reason = (asked.reason === '' ? await ask('reason:') : asked.reason)?.trim() ?? '';
  if (reason === '') throw new Error('not done: a reason is needed');
  const seen = alarm.text.slice(0, SEEN_CHARS);
  const { commandId } = await link.request('meter.agree', { meter, kind, seen, reason });
  return [`agreed (${commandId}): ${code} ${meter}: ${seen}`, { commandId, agreed: meter, of: kind, seen }];
}

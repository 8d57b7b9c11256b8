/** One system call of a trace: where in the trace it began and where it was over. */
export interface Call {
  readonly thread: number;
  readonly name: string;
  /** Arguments as strace prints them, file descriptors with what they stand for. */
  readonly text: string;
  readonly began: number;
  readonly ended: number;
  readonly result: number;
}

const LINE = /^(\d+)\s+(.*)$/su;
const BEGUN = /^(\w+)\((.*) <unfinished \.\.\.>$/su;
const RESUMED = /^<\.\.\. (\w+) resumed>(.*)\)\s+= (-?\d+|\?)/su;
const WHOLE = /^(\w+)\((.*)\)\s+= (-?\d+|\?)/su;

/**
 * The calls of `strace -f -yy -s …`, in the order in which they began. Its lines stand in the order of what happened:
 * a call that another thread interrupts has one where it began and one where it was over.
 */
export function readTrace(text: string): Call[] {
  const calls: Call[] = [];
  const open = new Map<number, { name: string; text: string; began: number }>();
  for (const [place, line] of text.split('\n').entries()) {
    const [, id, rest = ''] = LINE.exec(line) ?? [];
    const thread = Number(id);
    const begun = BEGUN.exec(rest);
    if (begun !== null) {
      open.set(thread, { name: begun[1] ?? '', text: begun[2] ?? '', began: place });
      continue;
    }
    const resumed = RESUMED.exec(rest);
    const before = open.get(thread);
    if (resumed !== null && before !== undefined && before.name === resumed[1]) {
      open.delete(thread);
      calls.push({
        thread,
        ...before,
        text: before.text + (resumed[2] ?? ''),
        ended: place,
        result: Number(resumed[3]),
      });
      continue;
    }
    const whole = WHOLE.exec(rest);
    if (whole !== null)
      calls.push({
        thread,
        name: whole[1] ?? '',
        text: whole[2] ?? '',
        began: place,
        ended: place,
        result: Number(whole[3]),
      });
  }
  return calls.sort((a, b) => a.began - b.began);
}

const SYNCS = ['fsync', 'fdatasync'];
const FILE_WRITES = ['write', 'pwrite64', 'writev', 'pwritev'];
const SENDS = ['write', 'writev', 'sendto', 'sendmsg'];

const isOn = (call: Call, kind: RegExp): boolean => kind.test(call.text.split(/[,)]/u)[0] ?? '');

/** The bytes of a file written by a call, or sent on a socket, as strace quotes them, without its escapes of quotes. */
const said = (call: Call): string => call.text.replaceAll('\\"', '"');

/** Writes to the file whose path ends so, that hold the text. */
export const fileWrites = (calls: readonly Call[], file: string, holds: RegExp): Call[] =>
  calls.filter(
    (call) =>
      FILE_WRITES.includes(call.name) &&
      isOn(call, new RegExp(`<[^>]*${file}`, 'u')) &&
      holds.test(said(call)),
  );

/** What left on a TCP socket and holds the text. */
export const sends = (calls: readonly Call[], holds: RegExp): Call[] =>
  calls.filter((call) => SENDS.includes(call.name) && isOn(call, /<TCP/u) && holds.test(said(call)));

/** Whether some sync of the file began after this write was over, and was over before that call began. */
export const syncedBetween = (calls: readonly Call[], file: string, write: Call, before: Call): boolean =>
  calls.some(
    (call) =>
      SYNCS.includes(call.name) &&
      isOn(call, new RegExp(`<[^>]*${file}`, 'u')) &&
      call.result === 0 &&
      call.began > write.ended &&
      call.ended < before.began,
  );

/** What the tests of identification share: a device that is a table of answers, and the questions that it was asked. */
import { expect } from 'vitest';

import { nextStep, probeText, USUAL_PORTS } from '../../../../agent/core/identify.ts';
import type { Answer, Probe, Seen } from '../../../../agent/core/identify.ts';
import { Fault } from '../../../../protocols/faults.ts';

const encoder = new TextEncoder();
export const bytes = (text: string): Answer => ({ kind: 'bytes', bytes: encoder.encode(text) });
export const page = (status: number, body = '', headers: Readonly<Record<string, string>> = {}): Answer => ({
  kind: 'page',
  status,
  headers,
  body: encoder.encode(body),
});
export const none = (code: 'NET_REFUSED' | 'NET_RESET' | 'NET_TIMEOUT' | 'NET_UNREACHABLE'): Answer => ({
  kind: 'none',
  fault: new Fault(code),
});

export type Answers = Readonly<Record<string, Answer>>;

/** What is asked, in order, and what it comes to; a probe without an answer is refused. */
export function follow(
  answers: Answers,
  ports = USUAL_PORTS,
): { asked: string[]; end: string; options: object } {
  const seen: Seen[] = [];
  const name = (probe: Probe): string =>
    probe.kind === 'page' ? `${probe.port === ports.http ? '' : probe.port}${probe.path}` : probe.kind;
  for (let n = 0; n < 20; n += 1) {
    const step = nextStep(ports, seen);
    if (step.kind !== 'ask') {
      const found = step.kind === 'found' ? step.finding : undefined;
      expect(found?.why ?? '').toMatch(/^[\u0020-\u007e]*$/u);
      return {
        asked: seen.map(({ probe }) => name(probe)),
        end: found?.scheme ?? 'unknown',
        options: found?.options ?? {},
      };
    }
    expect(
      seen.map(({ probe }) => probeText(probe)),
      'asked twice',
    ).not.toContain(probeText(step.probe));
    seen.push({ probe: step.probe, answer: answers[name(step.probe)] ?? none('NET_REFUSED') });
  }
  throw new Error('no end');
}

export const DIGEST = { 'www-authenticate': 'Digest realm="antMiner Configuration", nonce="n", qop="auth"' };
export const INVALID = bytes('{"STATUS":"E","When":1,"Code":14,"Msg":"invalid cmd","Description":""}');

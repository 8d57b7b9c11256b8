/**
 * Text from devices and the wire made safe for a terminal: no control characters, no escape sequences (their
 * introducers are control characters), nothing that reorders, hides or breaks a line. Each such character becomes `·`.
 */
export function plain(text: string, maxChars = 400): string {
  const safe = text.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu, '·');
  const chars = Array.from(safe);
  return chars.length <= maxChars ? safe : `${chars.slice(0, Math.max(0, maxChars - 1)).join('')}…`;
}

/** JSON whose strings hold nothing a terminal obeys: what JSON leaves unescaped is escaped here. */
export function plainJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) =>
    [...Array(char.length).keys()]
      .map((at) => `\\u${char.charCodeAt(at).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

/** Cut or filled with spaces to a width. */
export function fit(text: string, width: number): string {
  const short = plain(text, width);
  return short + ' '.repeat(Math.max(0, width - Array.from(short).length));
}

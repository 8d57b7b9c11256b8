import { hash } from 'node:crypto';

/** HTTP digest authentication as stock Antminers use it (RFC 2617: MD5, qop=auth or none). */
export interface DigestChallenge {
  readonly realm: string;
  readonly nonce: string;
  /** `auth` when the server offers it; without, the older form of RFC 2069 is used. */
  readonly qop: 'auth' | undefined;
  readonly opaque: string | undefined;
  /** The credentials were right, the nonce too old. */
  readonly stale: boolean;
}

export interface DigestRequest {
  readonly user: string;
  readonly password: string;
  readonly method: string;
  /** Path with query, as in the request line. */
  readonly uri: string;
  /** How many requests this nonce has served, from 1. */
  readonly count: number;
  readonly cnonce: string;
}

/** The first usable Digest challenge of a `WWW-Authenticate` header; undefined when there is none with MD5. */
export function parseChallenge(header: string | undefined): DigestChallenge | undefined {
  if (header === undefined || header.length > 4_096) return undefined;
  for (const part of header.split(/(?:^|,)\s*digest\s+/i).slice(1)) {
    const params = parseParams(part);
    const nonce = params.get('nonce');
    const realm = params.get('realm');
    const algorithm = params.get('algorithm') ?? 'MD5';
    const qops = params
      .get('qop')
      ?.split(',')
      .map((qop) => qop.trim().toLowerCase());
    if (nonce === undefined || realm === undefined || algorithm.toUpperCase() !== 'MD5') continue;
    if (qops && !qops.includes('auth')) continue;
    return {
      realm,
      nonce,
      qop: qops ? 'auth' : undefined,
      opaque: params.get('opaque'),
      stale: params.get('stale')?.toLowerCase() === 'true',
    };
  }
  return undefined;
}

/** The `Authorization` header that answers a challenge. */
export function digestHeader(challenge: DigestChallenge, request: DigestRequest): string {
  const nc = request.count.toString(16).padStart(8, '0');
  const response = digestResponse({
    ...request,
    realm: challenge.realm,
    nonce: challenge.nonce,
    qop: challenge.qop,
    nc,
  });
  const parts = [
    `username="${quoted(request.user)}"`,
    `realm="${quoted(challenge.realm)}"`,
    `nonce="${quoted(challenge.nonce)}"`,
    `uri="${request.uri}"`,
    `response="${response}"`,
  ];
  if (challenge.qop) parts.push(`qop=${challenge.qop}`, `nc=${nc}`, `cnonce="${request.cnonce}"`);
  if (challenge.opaque !== undefined) parts.push(`opaque="${quoted(challenge.opaque)}"`);
  return `Digest ${parts.join(', ')}`;
}

/** The `response` value of RFC 2617, 32 hexadecimal digits. */
export function digestResponse(input: {
  readonly user: string;
  readonly password: string;
  readonly realm: string;
  readonly method: string;
  readonly uri: string;
  readonly nonce: string;
  readonly qop: string | undefined;
  readonly nc: string;
  readonly cnonce: string;
}): string {
  const secret = md5(`${input.user}:${input.realm}:${input.password}`);
  const what = md5(`${input.method}:${input.uri}`);
  if (input.qop === undefined) return md5(`${secret}:${input.nonce}:${what}`);
  return md5(`${secret}:${input.nonce}:${input.nc}:${input.cnonce}:${input.qop}:${what}`);
}

/** The parameters of an `Authorization: Digest` header, names in lower case; undefined when it is another kind. */
export function parseAuthorization(header: string | undefined): ReadonlyMap<string, string> | undefined {
  const rest =
    header === undefined || header.length > 4_096 ? undefined : /^\s*digest\s+(.*)$/is.exec(header)?.[1];
  return rest === undefined ? undefined : parseParams(rest);
}

/** A client nonce of 64 random bits, hexadecimal. */
export function makeCnonce(random: { next(): number }): string {
  const half = (): string =>
    Math.floor(random.next() * 0x1_0000_0000)
      .toString(16)
      .padStart(8, '0');
  return half() + half();
}

function parseParams(text: string): Map<string, string> {
  const params = new Map<string, string>();
  // A name is tried from its first letter alone: from each of its letters, a long word would cost its length squared.
  for (const match of text.matchAll(/(?<![\w-])([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/g)) {
    const [, name = '', inQuotes, bare] = match;
    const key = name.toLowerCase();
    if (!params.has(key)) params.set(key, inQuotes?.replaceAll(/\\(.)/g, '$1') ?? bare ?? '');
  }
  return params;
}

function quoted(text: string): string {
  return text.replaceAll(/["\\]/g, String.raw`\$&`);
}

function md5(text: string): string {
  return hash('md5', text, 'hex');
}

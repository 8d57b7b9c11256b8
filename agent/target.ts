import { Fault } from '../protocols/faults.ts';
import type { Device, DeviceIo, Target } from './driver.ts';
import { DRIVERS } from './drivers/list.ts';

const URL_MAX = 2_000;

/** Where secrets are looked up: environment, and files read whole as text. */
export interface Secrets {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile?: (path: string) => string;
}

/**
 * A target from its URL, `scheme://user@host:port/path?option=value`. Secrets come by `passwordEnv` or `passwordFile`
 * only; these two and `user` are taken out of the options. Throws a Fault (TARGET_INVALID) that says what is wrong.
 */
export function parseTarget(url: string, secrets: Secrets): Target {
  const parsed = url.length <= URL_MAX ? URL.parse(url) : null;
  // A URL that cannot be read may hold a secret in the wrong place, so its text is not repeated.
  if (!parsed) throw new Fault('TARGET_INVALID', 'not a URL of the form scheme://host?option=value');
  const scheme = parsed.protocol.slice(0, -1);
  const host = decoded(parsed.hostname.replaceAll(/^\[|\]$/g, ''));
  if (parsed.password !== '' || parsed.searchParams.has('password')) {
    throw new Fault(
      'TARGET_INVALID',
      `${scheme}://${host}: a password in the URL; name it by passwordEnv or passwordFile`,
    );
  }
  if (parsed.hash !== '') throw new Fault('TARGET_INVALID', `${url}: nothing may follow #`);
  const options = optionsOf(parsed, url);
  const take = (name: string): string | undefined => {
    const value = options.get(name);
    options.delete(name);
    return value;
  };
  const userOption = take('user');
  const password = passwordOf(
    url,
    { passwordEnv: take('passwordEnv'), passwordFile: take('passwordFile') },
    secrets,
  );
  const userInfo = parsed.username === '' ? undefined : decoded(parsed.username);
  if (userInfo !== undefined && userOption !== undefined) {
    throw new Fault('TARGET_INVALID', `${url}: the user is given twice`);
  }
  return {
    url,
    scheme,
    host,
    port: parsed.port === '' ? undefined : Number(parsed.port),
    user: userInfo ?? userOption,
    password,
    path: pathOf(parsed, url),
    options: Object.fromEntries(options),
  };
}

/** The device a target names, by the driver of its scheme; no I/O yet. Throws TARGET_INVALID. */
export function openDevice(target: Target, io: DeviceIo): Device {
  const driver = DRIVERS.find((candidate) => candidate.schemes.includes(target.scheme));
  if (!driver) {
    const known = DRIVERS.flatMap((candidate) => candidate.schemes).join(', ');
    throw new Fault('TARGET_INVALID', `${target.url}: no driver for ${target.scheme}://; known: ${known}`);
  }
  return driver.open(target, io);
}

function optionsOf(parsed: URL, url: string): Map<string, string> {
  const options = new Map<string, string>();
  // A fingerprint in base64 holds plus signs, which a query would turn into spaces.
  for (const [name, value] of new URLSearchParams(parsed.search.replaceAll('+', '%2B'))) {
    if (options.has(name)) throw new Fault('TARGET_INVALID', `${url}: ${name} is given twice`);
    if (value === '') throw new Fault('TARGET_INVALID', `${url}: ${name} has no value`);
    options.set(name, value);
  }
  return options;
}

/** With a host one segment at most; without, as a serial device has it, the whole path. */
function pathOf(parsed: URL, url: string): string {
  const path = decoded(parsed.pathname.replace(/^\//, ''));
  if (parsed.host !== '' && path.includes('/')) {
    throw new Fault('TARGET_INVALID', `${url}: one path segment at most`);
  }
  return path;
}

function passwordOf(
  url: string,
  by: { readonly passwordEnv: string | undefined; readonly passwordFile: string | undefined },
  secrets: Secrets,
): string | undefined {
  if (by.passwordEnv !== undefined && by.passwordFile !== undefined) {
    throw new Fault('TARGET_INVALID', `${url}: passwordEnv and passwordFile: one of them`);
  }
  if (by.passwordEnv !== undefined) {
    const password = secrets.env[by.passwordEnv];
    if (password === undefined)
      throw new Fault('SECRET_MISSING', `${by.passwordEnv} is not in the environment`);
    return password;
  }
  if (by.passwordFile === undefined) return undefined;
  if (!secrets.readFile) throw new Fault('TARGET_INVALID', `${url}: passwordFile cannot be used here`);
  try {
    return secrets.readFile(by.passwordFile).replace(/\r?\n$/, '');
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    throw new Fault('SECRET_MISSING', `${by.passwordFile}: ${why}`, { cause: error });
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

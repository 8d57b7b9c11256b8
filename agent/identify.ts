import { encodeAvalon } from '../protocols/asic/avalon.ts';
import { encodeCgminer, makeIsWhole } from '../protocols/asic/cgminer.ts';
import { encodeWhatsminerV3, makeIsWholeWhatsminerV3 } from '../protocols/asic/whatsminer-v3.ts';
import { encodeWhatsminer } from '../protocols/asic/whatsminer.ts';
import { asFault, Fault } from '../protocols/faults.ts';
import { answerText, nextStep, probeText, STREAM_MAX_BYTES, USUAL_PORTS } from './core/identify.ts';
import type { Answer, Finding, Ports, Probe, Seen } from './core/identify.ts';
import type { DeviceIo, Target } from './driver.ts';
import { checkOptions, portOption } from './options.ts';

/** Of the whole time, what one probe may take at most. */
const PROBE_SHARE = 0.25;
const PAGE_MAX_BYTES = 128 * 1024;
/** More than any device takes: each family is told by fewer. */
const MOST_PROBES = 12;

/**
 * Finds out what stands at `auto://HOST[:PORT]`, one question and one connection at a time, without a login or any other
 * write. Rejects with a Fault: TARGET_INVALID, NET_UNREACHABLE, or DEVICE_UNKNOWN with what each question was answered.
 */
export async function identifyAddress(
  target: Target,
  io: Pick<DeviceIo, 'net' | 'http' | 'clock'>,
  timeoutMs: number,
): Promise<Finding> {
  const ports = portsOf(target);
  const endMs = io.clock.monoMs() + timeoutMs;
  const seen: Seen[] = [];
  for (;;) {
    const step = nextStep(ports, seen);
    if (step.kind === 'found') return step.finding;
    const leftMs = endMs - io.clock.monoMs();
    if (step.kind === 'unknown' || seen.length >= MOST_PROBES || leftMs <= 0) break;
    const answer = await ask(step.probe, target.host, io, Math.min(leftMs, timeoutMs * PROBE_SHARE));
    seen.push({ probe: step.probe, answer });
  }
  const said = seen.map(({ probe, answer }) => `${probeText(probe)}: ${answerText(answer)}`).join('; ');
  const [first] = seen;
  if (first?.answer.kind === 'none' && first.answer.fault.code === 'NET_UNREACHABLE')
    throw first.answer.fault;
  throw new Fault('DEVICE_UNKNOWN', `${target.host}: ${said}`);
}

/** The target for the site file: what was found at the address of `asked`, with the user and the references to secrets given there. */
export function foundTarget(asked: Target, { scheme, options, hasPassword }: Finding): string {
  const url = new URL(asked.url);
  const query = new URLSearchParams(options);
  if (hasPassword && asked.user !== undefined) query.set('user', asked.user);
  for (const name of hasPassword ? ['passwordEnv', 'passwordFile'] : []) {
    const given = new URLSearchParams(url.search.replaceAll('+', '%2B')).get(name);
    if (given !== null) query.set(name, given);
  }
  // A space as parseTarget takes it, and paths as people write them.
  const words = query.toString().replaceAll('+', '%20').replaceAll('%2F', '/');
  return `${scheme}://${url.hostname}${words === '' ? '' : '?'}${words}`;
}

/** A port given alone is the only one that is touched. */
function portsOf(target: Target): Ports {
  checkOptions(target, ['api', 'http', 'v3']);
  const port = (name: string): number | undefined => portOption(target, name) ?? target.port;
  const { api, http, v3, alt } = USUAL_PORTS;
  return {
    api: port('api') ?? api,
    http: port('http') ?? http,
    v3: port('v3') ?? v3,
    alt: port('http') ?? alt,
  };
}

/** Never rejects: that nothing came is an answer too. */
async function ask(
  probe: Probe,
  host: string,
  io: Pick<DeviceIo, 'net' | 'http'>,
  timeoutMs: number,
): Promise<Answer> {
  try {
    if (probe.kind === 'page') {
      const name = host.includes(':') ? `[${host}]` : host;
      const url = `http://${name}:${probe.port}${probe.path}`;
      // A connection that waited for the next page would stand beside the one to another port.
      const page = await io.http.request({
        method: 'GET',
        isAlone: true,
        url,
        timeoutMs,
        maxBytes: PAGE_MAX_BYTES,
      });
      return { kind: 'page', ...page };
    }
    const { bytes } = await io.net.exchange({ host, port: probe.port }, requestOf(probe.kind), {
      timeoutMs,
      maxBytes: STREAM_MAX_BYTES,
      complete: probe.kind === 'device-info' ? makeIsWholeWhatsminerV3() : makeIsWhole(),
    });
    return { kind: 'bytes', bytes };
  } catch (error) {
    return { kind: 'none', fault: asFault(error) };
  }
}

function requestOf(kind: Exclude<Probe['kind'], 'page'>): Uint8Array {
  if (kind === 'version') return encodeCgminer('version');
  if (kind === 'version-text') return encodeAvalon('text', 'version');
  return kind === 'get_version'
    ? encodeWhatsminer('get_version')
    : encodeWhatsminerV3({ cmd: 'get.device.info' });
}

import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';

/** Who may speak to this server, by the names a browser used to reach it: stops DNS rebinding and foreign pages. */
export interface Gate {
  /** True when the Host header is one of ours. */
  hostAllowed(request: IncomingMessage): boolean;
  /** `same`: a page of ours; `none`: no browser; `foreign`: somebody else's page. */
  origin(request: IncomingMessage): 'same' | 'none' | 'foreign';
}

/**
 * `host`: the configured address to listen on. On a wildcard address any literal IP is ours: rebinding needs a name.
 * `port`: asked at each request, since it may be chosen by the system.
 */
export function makeGate({ host, port }: { readonly host: string; readonly port: () => number }): Gate {
  const wildcard = host === '0.0.0.0' || host === '::';
  const names = new Set(['localhost', '127.0.0.1', '::1', ...(wildcard ? [] : [host.toLowerCase()])]);
  const nameAllowed = (name: string): boolean => names.has(name) || (wildcard && isIP(name) !== 0);
  return {
    hostAllowed: (request) => {
      const given = splitHost(request.headers.host);
      return given !== undefined && given.port === port() && nameAllowed(given.name);
    },
    origin: (request) => {
      const { origin } = request.headers;
      if (origin === undefined) return 'none';
      // The page must come from the very name this request names, not merely from another allowed one.
      return origin.toLowerCase() === `http://${request.headers.host?.toLowerCase() ?? ''}`
        ? 'same'
        : 'foreign';
    },
  };
}

function splitHost(header: string | undefined): { name: string; port: number } | undefined {
  const match = /^(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9.-]{1,253}))(?::(\d{1,5}))?$/i.exec(header ?? '');
  const name = match?.[1] ?? match?.[2];
  return name === undefined ? undefined : { name: name.toLowerCase(), port: Number(match?.[3] ?? 80) };
}

/** A peer's address for throttling and the log: IPv4 in its plain form. */
export function peerOf(request: IncomingMessage): string {
  return (request.socket.remoteAddress ?? 'unknown').replace(/^::ffff:/, '');
}

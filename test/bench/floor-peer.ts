/**
 * The miners of the floor bench, in a process of its own so that their CPU time is not counted. They answer at once, or
 * never. Of the watched ones it is kept what they said, and when; the parent asks for it.
 */
import * as net from 'node:net';

import { FAMILIES, isWatched, lifeOf, placeOf, rackId } from './floor-layout.ts';
import { Page } from './floor-page.ts';
import type { Door, Family } from './floor-page.ts';

/** One answer of a watched machine. Figures in the units of readings. */
export interface Spoken {
  readonly machine: string;
  readonly atMs: number;
  readonly said: Readonly<Record<string, number>>;
}

const spoken: Spoken[] = [];
let polls = 0;
let connections = 0;
let serial = 0;

class Host {
  readonly #family: Family;
  readonly #pages: ReadonlyMap<string, Page>;

  constructor(family: Family) {
    this.#family = family;
    this.#pages = new Map(Object.entries(family.pages).map(([name, text]) => [name, new Page(text)]));
  }

  /** The page of a GraphQL query. */
  queried(request: string): string {
    const isIn = (name: string): boolean => request.includes(name.slice(name.indexOf(' ') + 1));
    return [...this.#pages.keys()].find(isIn) ?? '';
  }

  /** The answer to a question, as text; undefined: there is no such page. */
  answer(asked: string, address: string): string | undefined {
    const page = this.#pages.get(asked);
    if (page === undefined) return undefined;
    const { rack, place } = placeOf(address);
    const { fast } = this.#family;
    // Whatsminer v3 asks for more with it in a full one.
    if (asked === fast || asked.startsWith(`${fast}+`)) polls += 1;
    serial += 1;
    if (!isWatched(place)) return page.make((rack << 8) | place, serial);
    const said: Record<string, number> = {};
    const text = page.make((rack << 8) | place, serial, said);
    const machine = `${rackId(rack)}-${String(place).padStart(2, '0')}`;
    spoken.push({ machine, atMs: Date.now(), said });
    return text;
  }
}

const commandIn = (text: string): string => {
  const value = JSON.parse(text) as Record<string, unknown>;
  const { command, cmd = command, param } = value;
  return typeof param === 'string' ? `${String(cmd)} ${param}` : String(cmd);
};

/** One question per connection, which the machine closes. */
function cgminer(host: Host, socket: net.Socket, bytes: Buffer, address: string): void {
  const refused = '{"STATUS":"E","When":1,"Code":14,"Msg":"invalid cmd","Description":""}';
  socket.end(host.answer(commandIn(bytes.toString('latin1')), address) ?? refused);
}

/** Its length before each message, and the connection stays. */
function framed(host: Host, socket: net.Socket, bytes: Buffer, address: string): void {
  const text = host.answer(commandIn(bytes.subarray(4).toString('latin1')), address);
  const body = Buffer.from(text ?? '{"code":-2,"when":1,"msg":"invalid command","desc":""}', 'latin1');
  const length = Buffer.alloc(4);
  length.writeUInt32LE(body.length);
  socket.write(Buffer.concat([length, body]));
}

/** HTTP/1.1: the connection stays unless the client wants it closed. Of a query a word that stands in it is its page. */
function http(host: Host, socket: net.Socket, bytes: Buffer, address: string): void {
  const head = bytes.toString('latin1');
  const path = head.slice(head.indexOf(' ') + 1, head.indexOf(' HTTP/'));
  const text = host.answer(path === '/graphql' ? host.queried(head) : path, address);
  const close = /\r\nconnection: *close/i.test(head);
  const body = text ?? '{}';
  const status = text === undefined ? '404 Not Found' : '200 OK';
  const answer = `HTTP/1.1 ${status}\r\nServer: nginx\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: ${close ? 'close' : 'keep-alive'}\r\n\r\n${body}`;
  if (close) socket.end(answer, 'latin1');
  else socket.write(answer, 'latin1');
}

const WAYS = { tcp: cgminer, v3: framed, http };

function serve(host: Host, door: Door): Promise<void> {
  const way = WAYS[door.way];
  const server = net.createServer({ noDelay: true, allowHalfOpen: door.way === 'tcp' }, (socket) => {
    connections += 1;
    const address = socket.localAddress ?? '';
    const life = lifeOf(placeOf(address).place);
    socket.on('error', () => socket.destroy());
    socket.on('end', () => socket.end());
    socket.on('data', (bytes: Buffer) => {
      if (life === 'alive') way(host, socket, bytes, address);
      else if (life === 'halfway') socket.write('{"STATUS":[{"STATUS":"S","When":17');
    });
  });
  // All of 127.0.0.0/8 is this machine: an address per miner on one port.
  return new Promise((resolve) => {
    server.listen({ port: door.port, host: '0.0.0.0', backlog: 4_096 }, resolve);
  });
}

await Promise.all(
  FAMILIES.flatMap((family) => {
    const host = new Host(family);
    return Object.values(family.doors).map((door) => serve(host, door));
  }),
);
process.on('message', () => process.send?.({ polls, connections, spoken: spoken.splice(0) }));
process.on('disconnect', () => process.exit());
process.send?.('ready');

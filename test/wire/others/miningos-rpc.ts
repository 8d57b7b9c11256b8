import * as net from 'node:net';

/**
 * In place of the connection of MiningOS's workers: one request at a time, each on a connection of its own, answered by
 * all that comes until the other side closes.
 */
export function rpcAt(host: string, port: number): { request: (text: string) => Promise<string> } {
  let last: Promise<unknown> = Promise.resolve();
  const request = (text: string): Promise<string> => {
    const answer = last.then(() => exchange(host, port, text));
    last = answer.catch(() => undefined);
    return answer;
  };
  return { request };
}

function exchange(host: string, port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port }, () => socket.write(text));
    let answer = '';
    socket.setEncoding('utf8');
    socket.on('data', (part: string) => (answer += part));
    socket.once('error', reject);
    socket.once('close', () => resolve(answer));
  });
}

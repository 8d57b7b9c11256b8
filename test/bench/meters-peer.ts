import * as net from 'node:net';

import { decodeRequest, encodeRead } from '../../protocols/modbus/serve.ts';

/** The meters of the fleet bench, in a process of its own so that their CPU time is not counted: one port, any host. */
const [port = 0] = process.argv.slice(2).map(Number);
/** Float32 values that no check objects to: 230 V at every address. */
const words = Uint16Array.from({ length: 128 }, (_, index) => (index % 2 === 0 ? 0x4366 : 0));
const server = net.createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => socket.destroy());
  socket.on('data', (bytes: Buffer) => {
    const asked = decodeRequest('tcp', bytes);
    if (asked.kind !== 'request' || asked.request.kind !== 'read') return socket.destroy();
    return socket.write(encodeRead('tcp', asked.transaction, asked.request, words));
  });
});
// All of 127.0.0.0/8 is this machine: an address per meter on one port.
server.listen({ port, host: '0.0.0.0', backlog: 4_096 }, () => process.send?.('ready'));

import * as net from 'node:net';
import ModbusRTU from 'modbus-serial';
import type { Clock } from '../host/deps.ts';
import { asFault } from '../protocols/faults.ts';
import type { ReadRequest } from '../protocols/modbus/frame.ts';
import type { MakeReader, Reader } from './modbus-reads.ts';
import type { MeterWire } from './modbus-wire.ts';

type Client = ModbusRTU.default;

/** What its README sets. */
const TIMEOUT_MS = 500;
/** A user would give up on a client before; without it the rest of a run would be one loss. */
const GIVE_UP_AFTER = 50;

/**
 * modbus-serial alone, as its README uses it: one client, a timeout, a new connection when it says that it is closed.
 * All of its code is real; only sockets, the serial port and `setTimeout` are in memory and in virtual time.
 */
export const peerReader: MakeReader = ({ wire, device, clock }) => {
  const restore = virtualTimeouts(clock);
  const serialOptions = { baudRate: 9_600, binding: device.serial };
  let client: Client | undefined;
  let losses = 0;
  const connected = async (): Promise<Client> => {
    if (client?.isOpen && losses < GIVE_UP_AFTER) return client;
    losses = 0;
    client?.close(() => undefined);
    client = new ModbusRTU.default();
    if (wire === 'tcp') await client.linkTCP(memorySocket(device), { port: 502 });
    else if (wire === 'rtu') await client.linkTelnet(memorySocket(device), {});
    else await client.connectRTUBuffered('meters', serialOptions);
    client.setTimeout(TIMEOUT_MS);
    return client;
  };
  const reader: Reader = {
    read: async (request) => {
      try {
        const data = await ask(await connected(), request);
        losses = 0;
        return data;
      } catch (error) {
        losses += 1;
        throw asFault(error, 'MODBUS_FRAME');
      }
    },
    close: () => {
      client?.close(() => undefined);
      restore();
    },
  };
  return reader;
};

async function ask(client: Client, { unit, fc, address, count }: ReadRequest): Promise<number[]> {
  client.setID(unit);
  switch (fc) {
    case 1:
      return (await client.readCoils(address, count)).data.slice(0, count).map(Number);
    case 2:
      return (await client.readDiscreteInputs(address, count)).data.slice(0, count).map(Number);
    case 3:
      return (await client.readHoldingRegisters(address, count)).data;
    case 4:
      return (await client.readInputRegisters(address, count)).data;
  }
}

/** A socket of Node's whose other end is the device. */
function memorySocket(device: MeterWire): net.Socket {
  const socket = new net.Socket();
  let open = true;
  const shut = (): net.Socket => {
    if (open) process.nextTick(() => socket.emit('close', false));
    open = false;
    return socket;
  };
  Object.defineProperties(socket, {
    readyState: { get: () => (open ? 'open' : 'closed') },
    write: {
      value: (bytes: Uint8Array) => {
        if (open) device.write(Uint8Array.from(bytes));
        return true;
      },
    },
    end: { value: shut },
    destroy: { value: shut },
  });
  device.attach({
    get isOpen() {
      return open;
    },
    give: (bytes) => socket.emit('data', Buffer.from(bytes)),
    end: (how) => {
      if (!open) return;
      open = false;
      // As Node does: an error before the close of a connection that was reset.
      if (how === 'RST')
        socket.emit('error', Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
      socket.emit('close', how === 'RST');
    },
  });
  return socket;
}

/** The library takes no clock. The result gives the real functions back. */
function virtualTimeouts(clock: Clock): () => void {
  const { setTimeout: set, clearTimeout: clear } = globalThis;
  const cancels = new Map<number, () => void>();
  let made = 0;
  const virtualSet = (fn: () => void, ms: number): number => {
    made += 1;
    const id = made;
    cancels.set(
      id,
      clock.after(ms, () => {
        cancels.delete(id);
        fn();
      }),
    );
    return id;
  };
  const virtualClear = (id: number): void => {
    cancels.get(id)?.();
    cancels.delete(id);
  };
  Object.assign(globalThis, { setTimeout: virtualSet, clearTimeout: virtualClear });
  return () => void Object.assign(globalThis, { setTimeout: set, clearTimeout: clear });
}

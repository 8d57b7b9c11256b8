/** A serial port in memory: what `serialport` calls a binding, so that all the code above it is the real one. */

/** What plays the other end of the cable. */
export interface SerialWire {
  opened(port: MemorySerialPort): void;
  /** Bytes of the client. */
  written(bytes: Uint8Array): void;
  closed(): void;
}

interface Asked {
  readonly buffer: Buffer;
  readonly offset: number;
  readonly length: number;
  readonly resolve: (read: { buffer: Buffer; bytesRead: number }) => void;
  readonly reject: (error: Error) => void;
}

/** One opening of the port, with the methods that `serialport` calls. */
export class MemorySerialPort {
  isOpen = true;
  readonly openOptions: object;
  readonly #wire: SerialWire;
  #held: Uint8Array[] = [];
  #asked: Asked | undefined;
  #ended: 'unplugged' | 'silent' | undefined;

  constructor(wire: SerialWire, openOptions: object) {
    this.#wire = wire;
    this.openOptions = openOptions;
    wire.opened(this);
  }

  /** Bytes of the device. */
  give(bytes: Uint8Array): void {
    if (!this.isOpen || bytes.length === 0) return;
    this.#held.push(bytes);
    this.#answer();
  }

  /** The adapter is pulled out, or it ends without a word. */
  end(how: 'unplugged' | 'silent'): void {
    this.#ended = how;
    this.#answer();
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#ended === 'unplugged') throw new Error('the device is gone');
    this.#wire.written(Uint8Array.from(bytes));
  }

  read(buffer: Buffer, offset: number, length: number): Promise<{ buffer: Buffer; bytesRead: number }> {
    return new Promise((resolve, reject) => {
      this.#asked = { buffer, offset, length, resolve, reject };
      this.#answer();
    });
  }

  async close(): Promise<void> {
    this.isOpen = false;
    this.#wire.closed();
    const asked = this.#asked;
    this.#asked = undefined;
    asked?.reject(Object.assign(new Error('closed'), { canceled: true }));
  }

  #answer(): void {
    const asked = this.#asked;
    const first = this.#held[0];
    if (!asked || (!first && !this.#ended)) return;
    this.#asked = undefined;
    if (first) {
      const taken = first.subarray(0, asked.length);
      if (taken.length < first.length) this.#held[0] = first.subarray(taken.length);
      else this.#held.shift();
      asked.buffer.set(taken, asked.offset);
      asked.resolve({ buffer: asked.buffer, bytesRead: taken.length });
    } else if (this.#ended === 'silent') asked.resolve({ buffer: asked.buffer, bytesRead: 0 });
    else asked.reject(new Error('the device is gone'));
  }
}

/** The binding to hand to `makeLines` or to modbus-serial itself. */
export function memorySerial(wire: SerialWire): object {
  return {
    list: async () => [],
    open: async (options: object) => new MemorySerialPort(wire, options),
  };
}

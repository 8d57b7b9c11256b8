import { StringDecoder } from 'node:string_decoder';

/** Longest line taken from a command's output. */
export const MAX_LINE_CHARS = 16_384;

/** Cuts bytes into lines without their ends; characters split between two chunks stay whole. */
export class LineCutter {
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';

  /** The lines that `chunk` completes; undefined when one is longer than MAX_LINE_CHARS. */
  push(chunk: Buffer): string[] | undefined {
    const parts = (this.#rest + this.#decoder.write(chunk)).split('\n');
    this.#rest = parts.pop() ?? '';
    const tooLong = this.#rest.length > MAX_LINE_CHARS || parts.some((part) => part.length > MAX_LINE_CHARS);
    if (tooLong) {
      this.#rest = '';
      return undefined;
    }
    return parts.map((part) => (part.endsWith('\r') ? part.slice(0, -1) : part));
  }
}

import type { Readable } from 'node:stream';

const LINE_MAX = 1_000;

interface Question {
  readonly text: string;
  readonly answer: (line: string | undefined) => void;
}

interface PromptOptions {
  readonly input: Readable;
  /** True when keys come one by one and nothing is echoed. */
  readonly raw: boolean;
  readonly onLine: (line: string) => void;
  readonly onQuit: () => void;
  /** The typed text or the question changed. */
  readonly onChange: () => void;
}

/** What a person types: command lines, and answers to questions. Never echoes what a terminal would obey. */
export class Prompt {
  readonly #options: PromptOptions;
  readonly #questions: Question[] = [];
  #typed = '';
  #typing = false;
  #ended = false;
  /** Inside an escape sequence of a key (arrows …), which is skipped whole. */
  #escape = '';
  readonly #onData = (data: Buffer | string): void => this.#take(data.toString());
  readonly #onEnd = (): void => this.#end();

  constructor(options: PromptOptions) {
    this.#options = options;
    options.input.on('data', this.#onData);
    options.input.on('end', this.#onEnd);
  }

  /** The prompt as shown on the last line; empty when nobody types. */
  get shown(): string {
    const question = this.#questions[0];
    if (question !== undefined) return `${question.text} ${this.#typed}_`;
    return this.#typing ? `:${this.#typed}_` : '';
  }

  /** The next line typed; undefined when the person gives up or the input ends. */
  ask(text: string): Promise<string | undefined> {
    if (this.#ended) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#questions.push({ text, answer: resolve });
      this.#options.onChange();
    });
  }

  close(): void {
    this.#options.input.off('data', this.#onData);
    this.#options.input.off('end', this.#onEnd);
    this.#options.input.pause();
    for (const question of this.#questions.splice(0)) question.answer(undefined);
  }

  #end(): void {
    this.#ended = true;
    if (!this.#options.raw && this.#typed !== '') this.#enter();
    for (const question of this.#questions.splice(0)) question.answer(undefined);
    this.#options.onQuit();
  }

  #take(text: string): void {
    for (const char of text) this.#key(char);
    this.#options.onChange();
  }

  #key(char: string): void {
    if (char === '\n' || char === '\r') this.#enter();
    else if (!this.#options.raw) this.#append(char);
    else if (this.#escape !== '' && this.#inEscape(char)) return;
    else if (char === '\u0003' || char === '\u0004') this.#options.onQuit();
    else if (char === '\u001B') this.#escape = char;
    else if (char === '\u007F' || char === '\b') this.#typed = Array.from(this.#typed).slice(0, -1).join('');
    else if (char === '\u0015') this.#typed = '';
    else if (this.#questions.length > 0 || this.#typing) this.#append(char);
    else if (char === ':') this.#typing = true;
    else if (char === 'q') this.#options.onQuit();
  }

  /** True when the character belongs to the escape sequence; a lone Escape gives up what is typed. */
  #inEscape(char: string): boolean {
    if (this.#escape === '\u001B' && (char === '[' || char === 'O')) {
      this.#escape += char;
      return true;
    }
    const sequence = this.#escape.length > 1;
    if (!sequence || /[@-~]/.test(char)) this.#escape = '';
    if (!sequence) this.#giveUp();
    return sequence;
  }

  #giveUp(): void {
    this.#typed = '';
    this.#typing = false;
    this.#questions.shift()?.answer(undefined);
  }

  #append(char: string): void {
    if (this.#typed.length < LINE_MAX && !/\p{Cc}/u.test(char)) this.#typed += char;
  }

  #enter(): void {
    const typed = this.#typed;
    this.#typed = '';
    this.#typing = false;
    this.#escape = '';
    const question = this.#questions.shift();
    if (question !== undefined) question.answer(typed);
    else this.#options.onLine(typed);
  }
}

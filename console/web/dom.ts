type Child = Node | string | null | undefined | false;
interface Props {
  readonly class?: string;
  readonly id?: string;
  readonly title?: string;
  readonly attrs?: Readonly<Record<string, string>>;
  readonly onClick?: () => void;
}

/** An element with its children; text is always text, never markup. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (props.class !== undefined) element.className = props.class;
  if (props.id !== undefined) element.id = props.id;
  if (props.title !== undefined) element.title = props.title;
  for (const [name, value] of Object.entries(props.attrs ?? {})) element.setAttribute(name, value);
  if (props.onClick !== undefined) element.addEventListener('click', props.onClick);
  for (const child of children)
    if (child !== null && child !== undefined && child !== false) element.append(child);
  return element;
}

/** A button that cannot submit a form by accident. */
export function button(text: string, onClick: () => void, className = ''): HTMLButtonElement {
  return make('button', { class: className, attrs: { type: 'button' }, onClick }, text);
}

/** The element the page was written with; its absence is a bug of ours. */
export function part<T extends HTMLElement>(id: string, kind: abstract new () => T): T {
  const element = document.querySelector(`#${id}`);
  if (!(element instanceof kind)) throw new Error(`the page lacks #${id}`);
  return element;
}

/** Sets text only when it differs, so that assistive technology speaks of changes alone. */
export function say(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** A canvas sized to its box in device pixels, with a context in CSS pixels; undefined while it has no size. */
export function brushOf(
  canvas: HTMLCanvasElement,
):
  | { readonly context: CanvasRenderingContext2D; readonly width: number; readonly height: number }
  | undefined {
  const { clientWidth: width, clientHeight: height } = canvas;
  const context = canvas.getContext('2d');
  if (context === null || width === 0 || height === 0) return undefined;
  const scale = window.devicePixelRatio;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** The page's colours by name, as the theme has them now. */
export function themeColours(): (name: string) => string {
  const style = getComputedStyle(document.documentElement);
  const known = new Map<string, string>();
  return (name) => {
    let colour = known.get(name);
    if (colour === undefined) {
      colour = style.getPropertyValue(`--${name}`).trim();
      known.set(name, colour);
    }
    return colour;
  };
}

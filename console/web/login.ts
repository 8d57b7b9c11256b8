import { button, make, part } from './dom.ts';
import { operatorName, rememberName } from './name.ts';
import { login } from './socket.ts';

/** Takes the one-time code out of the address bar, so that it stays in no history. */
export function codeFromAddress(): string | undefined {
  const code = /^#code=([\w-]{1,64})$/.exec(location.hash)?.[1];
  if (code !== undefined) history.replaceState(null, '', location.pathname);
  return code;
}

/** Asks for the one-time code until one is accepted. */
export function askCode(onDone: () => void): void {
  const dialog = part('login', HTMLDialogElement);
  if (dialog.open) return;
  const code = make('input', {
    attrs: {
      type: 'text',
      required: '',
      autocomplete: 'one-time-code',
      spellcheck: 'false',
      maxlength: '32',
      placeholder: 'XXXXX-XXXXX',
    },
  });
  const name = make('input', {
    attrs: { type: 'text', required: '', autocomplete: 'name', maxlength: '40' },
  });
  name.value = operatorName();
  const problem = make('div', { class: 'problem', attrs: { role: 'alert' } });
  const form = make(
    'form',
    {},
    make('h2', { id: 'login-h' }, 'Log in'),
    make('label', {}, 'One-time code, printed where the controller was started', code),
    make('label', {}, 'Your name, for the record: only it releases your lockouts', name),
    problem,
    make(
      'div',
      { class: 'acts' },
      button('Try again without', () => finish()),
      make('button', { class: 'primary', attrs: { type: 'submit' } }, 'Log in'),
    ),
  );
  const finish = (): void => {
    dialog.close();
    onDone();
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    rememberName(name.value);
    login(code.value)
      .then((refused) => {
        problem.textContent = refused ?? '';
        if (refused === undefined) finish();
      })
      .catch(() => undefined);
  });
  // Without a session there is nothing behind this dialog to go back to.
  dialog.addEventListener('cancel', (event) => event.preventDefault());
  dialog.replaceChildren(form);
  dialog.showModal();
}

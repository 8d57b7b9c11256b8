const KEY = 'switchyard-operator';

/** Who sits at this browser, as they said at their last login; `operator` until somebody says. */
export function operatorName(): string {
  return localStorage.getItem(KEY) ?? 'operator';
}

export function rememberName(name: string): void {
  const trimmed = name.trim().slice(0, 40);
  if (trimmed !== '') localStorage.setItem(KEY, trimmed);
}

import { existsSync, globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { exportedNames, parse } from '../../tidy-parse.ts';

const HOME = fileURLToPath(new URL('../../..', import.meta.url));
const read = (path: string): string => readFileSync(`${HOME}/${path}`, 'utf8');

const steps = [...read('docs/architecture.md').matchAll(/^\| \d+ \| `([^`]+)` \| `([^`]+)` \|/gmu)].map(
  ([, path = '', name = '']) => ({ path, name }),
);

describe('architecture.md', () => {
  test('walks from the wire to the screen and from the price to the proof', () => {
    expect(steps.length).toBeGreaterThan(35);
  });

  test.each(steps)('$path exports $name', ({ path, name }) => {
    expect(existsSync(`${HOME}/${path}`), path).toBe(true);
    expect([...exportedNames(parse(path, read(path)))]).toContain(name);
  });
});

describe('every document', () => {
  const documents = globSync(['*.md', 'docs/*.md'], { cwd: HOME }).sort();
  const FILES =
    /`((?:agent|commands|config|console|controller|docs|host|proof|protocols|simulator|test)\/[\w./-]+\.\w+)`/gu;

  test.each(documents)('%s names files that exist', (document) => {
    const text = read(document);
    const named = [...text.matchAll(FILES)].map(([, path = '']) => path);
    // What a page brings along as its example is in no tree but that of its test.
    const brought = [...text.matchAll(/^<!-- file: (\S+) -->$/gmu)].map(([, path = '']) => path);
    expect(named.filter((path) => !brought.includes(path) && !existsSync(`${HOME}/${path}`))).toEqual([]);
  });

  test.each(documents)('%s links to files and headings that exist', (document) => {
    const slugs = (text: string): string[] =>
      [...text.matchAll(/^#+ (.+)$/gmu)].map(([, title = '']) =>
        title
          .toLowerCase()
          .replaceAll(/[^\p{L}\d _-]/gu, '')
          .replaceAll(' ', '-'),
      );
    const broken = [...read(document).matchAll(/\]\(((?!https?:)[^)]+)\)/gu)]
      .map(([, link = '']) => link)
      .filter((link) => {
        const [path = '', heading] = link.split('#');
        const file =
          path === ''
            ? document
            : fileURLToPath(new URL(path, new URL(document, `file://${HOME}`))).slice(HOME.length);
        if (!existsSync(`${HOME}/${file}`)) return true;
        return heading !== undefined && !slugs(read(file)).includes(heading);
      });
    expect(broken).toEqual([]);
  });
});

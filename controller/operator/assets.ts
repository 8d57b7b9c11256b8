import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build, stop } from 'esbuild';

import { Fault } from '../../protocols/faults.ts';

/** Files of the page, by path. */
export type Assets = ReadonlyMap<string, { readonly bytes: Buffer; readonly type: string }>;

const ROOT = new URL('../../console/web/', import.meta.url);

/** Bundles the page in memory. Rejects with INTERNAL when the sources do not build. */
export async function buildAssets(): Promise<Assets> {
  try {
    const [script, html, css, icon] = await Promise.all([
      bundle(),
      readFile(new URL('index.html', ROOT)),
      readFile(new URL('style.css', ROOT)),
      readFile(new URL('icon.svg', ROOT)),
    ]);
    return new Map([
      ['/index.html', { bytes: html, type: 'text/html; charset=utf-8' }],
      ['/style.css', { bytes: css, type: 'text/css; charset=utf-8' }],
      ['/icon.svg', { bytes: icon, type: 'image/svg+xml' }],
      ['/main.js', { bytes: script, type: 'text/javascript; charset=utf-8' }],
    ]);
  } catch (error) {
    throw new Fault(
      'INTERNAL',
      `the console page does not build: ${error instanceof Error ? error.message : String(error)}`,
      {
        cause: error,
      },
    );
  } finally {
    // Its service process would stay for as long as the controller runs.
    await stop();
  }
}

async function bundle(): Promise<Buffer> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('main.ts', ROOT))],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    minify: true,
    legalComments: 'none',
    logLevel: 'silent',
  });
  const script = outputFiles[0];
  if (script === undefined) throw new Fault('INTERNAL', 'the bundler made nothing');
  return Buffer.from(script.contents);
}

// The example for Node in client/README.md, as it stands there.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { sends } from './events.js';
import { expect, test } from './page.js';

const CLIENT = join(import.meta.dirname, '../../client');

/** The code of the README's section. */
async function example(section) {
  const text = await readFile(join(CLIENT, 'README.md'), 'utf8');
  const [, code] = /```js\n([^]*?)```/.exec(text.slice(text.indexOf(`\n## ${section}\n`)));
  return code.replace("'posthorn-client'", JSON.stringify(pathToFileURL(join(CLIENT, 'dist/posthorn-client.js')).href));
}

test('the example for Node follows the feed over a restart of the server, and goes on after one of its own', async ({ stack }) => {
  const directory = await mkdtemp(join(tmpdir(), 'posthorn-node-'));
  let output = '';
  const run = () => {
    // Node 20 has WebSockets, behind a switch; later ones have no switch.
    const [major] = process.versions.node.split('.');
    const child = spawn(process.execPath, [...(Number(major) < 22 ? ['--experimental-websocket'] : []), 'example.mjs'], {
      cwd: directory,
      env: { ...process.env, POSTHORN_URL: stack.http, POSTHORN_TOKEN: stack.token },
    });
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    return child;
  };
  const seen = (n) => output.includes(`reader${n}@example.net`);
  let child;
  try {
    await writeFile(join(directory, 'example.mjs'), await example('In Node'));
    child = run();
    await stack.post(sends(1, 3));
    await expect.poll(() => [1, 2, 3].filter(seen), { message: output }).toEqual([1, 2, 3]);
    // With what Mandrill sent.
    await expect.poll(() => output).toContain('order_id');
    await stack.kill();
    await stack.start();
    await stack.post(sends(4, 3));
    await expect.poll(() => [4, 5, 6].filter(seen)).toEqual([4, 5, 6]);

    await expect.poll(() => readFile(join(directory, 'cursor.txt'), 'utf8')).not.toBe('');
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    await stack.post(sends(7, 3));
    child = run();
    await expect.poll(() => [7, 8, 9].filter(seen)).toEqual([7, 8, 9]);
  } finally {
    child?.kill('SIGKILL');
    await rm(directory, { recursive: true, force: true });
  }
});

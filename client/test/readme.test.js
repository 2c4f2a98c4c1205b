// The examples of README.md that need no server of ours.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

test('the server that gives out tickets outlives an API that cannot be reached', async () => {
  const text = await readFile(join(import.meta.dirname, '../README.md'), 'utf8');
  const [, code] = /## On a page[^]*?```js\n([^]*?)```/.exec(text);
  const server = code.replace('.listen(3000)', ".listen(0, '127.0.0.1', function () { console.log(this.address().port); })");
  assert.notEqual(server, code);
  const child = spawn(process.execPath, ['--input-type=module', '--eval', server], {
    // Nothing listens on the port of "discard".
    env: { ...process.env, POSTHORN_URL: 'http://127.0.0.1:9', POSTHORN_TOKEN: 'token' },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    const [port] = await once(child.stdout, 'data');
    for (const _ of [1, 2]) {
      const answer = await fetch(`http://127.0.0.1:${Number(port)}/posthorn-ticket`, { method: 'POST' });
      assert.equal(answer.status, 502);
    }
  } finally {
    child.kill();
  }
});

// What is published.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { bundle } from '../build.js';

const run = promisify(execFile);
const CLIENT = join(import.meta.dirname, '..');

test('the committed file is what the sources build', async () => {
  const committed = await readFile(join(CLIENT, 'dist/posthorn-client.js'), 'utf8');
  assert.equal(committed, await bundle(), 'run `npm run build` in client/, and commit dist/posthorn-client.js');
});

test('the committed types are what the sources say', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'posthorn-types-'));
  try {
    await run(join(CLIENT, 'node_modules/.bin/tsc'), ['--outDir', directory], { cwd: CLIENT });
    const [made, committed] = await Promise.all([directory, join(CLIENT, 'dist/types')].map(contents));
    assert.deepEqual(committed, made, 'run `npm run build` in client/, and commit dist/types');
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

/** The text of each file in a directory, by name. */
async function contents(directory) {
  const names = (await readdir(directory)).sort();
  return Promise.all(names.map(async (name) => [name, await readFile(join(directory, name), 'utf8')]));
}

test('it has less than 5 KB, minified and compressed, and needs nothing else', async (t) => {
  const minified = await bundle({ minify: true, banner: {} });
  const bytes = gzipSync(minified, { level: 9 }).length;
  t.diagnostic(`${bytes} bytes`);
  assert.ok(bytes < 5 * 1_024, `${bytes} bytes`);
  assert.doesNotMatch(minified, /\bimport\b/);
});

test('the README states its true sizes', async () => {
  const readme = await readFile(join(CLIENT, 'README.md'), 'utf8');
  const [, ...stated] = /dependency: ([\d.]+) KB as published, which gzip makes ([\d.]+) KB; minified by your bundler ([\d.]+) KB, which gzip makes ([\d.]+) KB/.exec(readme);
  const published = await readFile(join(CLIENT, 'dist/posthorn-client.js'));
  const minified = Buffer.from(await bundle({ minify: true, banner: {} }));
  const sizes = [published, minified].flatMap((text) => [text.length, gzipSync(text, { level: 9 }).length]);
  // Compressors differ by a few bytes.
  const isTrue = (size, kb) => Math.abs(size / 1_000 - kb) < 0.1;
  assert.ok(sizes.every((size, at) => isTrue(size, Number(stated[at]))), `${stated} KB is stated of ${sizes} bytes`);
});

test('what is packed from a fresh clone can be installed and imported, with its types', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'posthorn-client-'));
  try {
    const clone = join(directory, 'clone');
    // What a clone has: no node_modules, and nothing that was built and is not committed.
    const { stdout: tracked } = await run('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: CLIENT });
    for (const name of tracked.split('\0').filter(Boolean)) await cp(join(CLIENT, name), join(clone, name));
    const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', directory], { cwd: clone });
    const packed = JSON.parse(stdout.slice(stdout.search(/^[[{]/m)));
    const [{ filename, files }] = Array.isArray(packed) ? packed : Object.values(packed);
    const names = files.map(({ path }) => path);
    for (const name of ['README.md', 'LICENSE', 'dist/posthorn-client.js', 'dist/types/index.d.ts']) {
      assert.ok(names.includes(name), `${name} in ${names}`);
    }
    assert.ok(!names.some((name) => /^(src|test)\//.test(name)), names.join());
    await writeFile(join(directory, 'package.json'), '{"type":"module"}');
    await run('npm', ['install', '--offline', '--no-audit', '--no-fund', `./${filename}`], { cwd: directory });
    await writeFile(join(directory, 'use.ts'), USE);
    await run(join(CLIENT, 'node_modules/.bin/tsc'), ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--lib', 'es2022,dom', 'use.ts'], {
      cwd: directory,
    }).catch(({ stdout: said }) => assert.fail(said));
    await writeFile(join(directory, 'use.js'), "import { connect, PosthornError } from 'posthorn-client'; connect({ ticket() {} }).close();");
    await run('node', ['use.js'], { cwd: directory });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

const USE = `
import { connect, PosthornError, type EventType, type PosthornEvent, type State } from 'posthorn-client';

const client = connect({ ticket: ({ signal }) => fetch('/ticket', { method: 'POST', signal }), filter: 'type:open' });
const show = (state: State): string => {
  if (state.name === 'waiting') return new Date(state.until).toISOString();
  if (state.name === 'refused') return state.error.code;
  return state.transport;
};
for await (const events of client) {
  for (const event of events) {
    const kind: EventType = event.type;
    if (kind === 'click') console.log(event.detail.url?.length, event.recipient, show(client.state));
    // The list is open.
    if (kind === 'order.created') console.log(event.metadata.order);
  }
}
// @ts-expect-error a number is no filter
client.subscribe({ filter: 7 });
const one: PosthornEvent['cursor'] | null = client.cursor;
console.log(one, PosthornError);
`;

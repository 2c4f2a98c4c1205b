// The client package in a browser, against a local stack that goes on receiving: whatever is cut, no event
// is missing afterwards, and none is there twice.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, test as base } from '@playwright/test';
import { Proxy } from './proxy.js';
import { Stack } from './stack.js';

const CLIENT = join(import.meta.dirname, '../../client/dist/posthorn-client.js');

const test = base.extend({
  options: [[], { option: true }],
  stack: async ({ options }, use) => {
    const stack = await Stack.start(options);
    await use(stack);
    await stack.discard();
  },
  wire: async ({ stack }, use) => {
    const wire = await Proxy.start(stack.port);
    await use(wire);
    await wire.stop();
  },
});

/** Makes a client in the page: `feed.events`, `feed.states`, `feed.client`. */
async function follow(page, wire, stack, options = {}) {
  // As it is now, which need not be what the binary was built with.
  await page.route('**/posthorn-client.js', (route) => route.fulfill({ path: CLIENT }));
  // The page without its program, which would make a client of its own.
  await page.route('**/app.js', (route) => route.abort());
  await page.goto(wire.http);
  await page.evaluate(
    async ([token, options]) => {
      const { connect } = await import('/posthorn-client.js');
      const feed = { events: [], states: [], told: [] };
      const here = (path) => new URL(path, location.href).href;
      feed.client = connect({
        ticket: async ({ signal }) => {
          const answer = await fetch('/v1/tickets', { method: 'POST', headers: { authorization: `Bearer ${token}` }, signal });
          if (!answer.ok) return answer;
          const { ticket } = await answer.json();
          const url = here(`/live?ticket=${encodeURIComponent(ticket)}`).replace(/^http/, 'ws');
          return { ticket, url, stream_url: here('/v1/stream'), poll_url: here('/v1/events') };
        },
        onEvents: (events) => feed.events.push(...events.map(({ id }) => id)),
        onState: (state) => feed.states.push(`${state.name} ${state.transport}`),
        onLost: () => feed.told.push('lost'),
        onReset: (why) => feed.told.push(why),
        ...options,
      });
      globalThis.feed = feed;
    },
    [stack.token, options],
  );
}

const inState = (page, state) =>
  expect.poll(() => page.evaluate(() => `${feed.client.state.name} ${feed.client.state.transport}`)).toBe(state);

const received = (page) => page.evaluate(() => feed.events.length);

/** Posts events, some of them twice and in bursts, until it is told to stop: nothing is under way after that. */
function publish(stack) {
  const words = ['simulate', '--data-dir', stack.directory, '--count', 1_000_000, '--rate', 40, '--batch', 5, '--bursts', '--duplicates', 0.2, '--seed', 7];
  const child = spawn(stack.binary, words.map(String), { stdio: 'ignore' });
  const done = once(child, 'exit');
  return {
    stop: () => {
      child.kill('SIGINT');
      return done;
    },
  };
}

async function everything(stack) {
  const ids = [];
  for (let next = ''; next !== null; ) {
    const before = next && `&before=${encodeURIComponent(next)}`;
    const answer = await fetch(`${stack.http}/v1/events?limit=1000${before}`, { headers: { authorization: `Bearer ${stack.token}` } });
    const page = await answer.json();
    ids.push(...page.events.map(({ id }) => id));
    ({ next } = page);
  }
  return ids.sort();
}

/** Publishes while `cuts` happens, however long that takes, and compares what came with what is stored. */
async function expectComplete(page, stack, cuts) {
  const publisher = publish(stack);
  try {
    await expect.poll(() => received(page)).toBeGreaterThan(10);
    await cuts();
  } finally {
    await publisher.stop();
  }
  const stored = await everything(stack);
  await expect
    .poll(() => page.evaluate((ids) => ({ missing: ids.filter((id) => !feed.events.includes(id)), last: feed.states.slice(-12) }), stored))
    .toMatchObject({ missing: [] });
  expect(await page.evaluate(() => feed.events.toSorted())).toEqual(stored);
  expect(await page.evaluate(() => feed.told)).toEqual([]);
}

test('a network that breaks off and comes back', async ({ page, wire, stack }) => {
  await follow(page, wire, stack);
  await inState(page, 'live websocket');
  await expectComplete(page, stack, async () => {
    for (let cut = 0; cut < 3; cut += 1) {
      const before = await received(page);
      wire.cut();
      await expect.poll(() => received(page)).toBeGreaterThan(before);
    }
    wire.isCut = true;
    wire.cut();
    await expect.poll(() => page.evaluate(() => feed.states.filter((state) => state.startsWith('waiting')).length)).toBeGreaterThan(5);
    wire.isCut = false;
    await inState(page, 'live websocket');
  });
});

test('a network that swallows everything without a word, until the browser is online again', async ({ context, page, wire, stack }) => {
  await follow(page, wire, stack);
  await inState(page, 'live websocket');
  await expectComplete(page, stack, async () => {
    wire.isSilent = true;
    await context.setOffline(true);
    const before = await received(page);
    await expect.poll(async () => (await everything(stack)).length).toBeGreaterThan(before + 40);
    wire.isSilent = false;
    await context.setOffline(false);
    await expect.poll(() => received(page)).toBeGreaterThan(before + 40);
  });
});

test('a server that is killed and started again', async ({ page, wire, stack }) => {
  await follow(page, wire, stack);
  await inState(page, 'live websocket');
  await expectComplete(page, stack, async () => {
    for (let time = 0; time < 2; time += 1) {
      await stack.kill();
      await inState(page, 'waiting websocket');
      await stack.start();
      const before = await received(page);
      await expect.poll(() => received(page)).toBeGreaterThan(before);
    }
  });
});

test.describe('with connections that last for three seconds instead of two hours', () => {
  test.use({ options: ['--socket-limit', '3'] });

  test('the end of a connection', async ({ page, wire, stack }) => {
    let sockets = 0;
    page.on('websocket', () => (sockets += 1));
    await follow(page, wire, stack);
    await expectComplete(page, stack, async () => {
      await expect.poll(() => sockets, { timeout: 60_000 }).toBeGreaterThan(3);
      // A machine that is busy may not get through a replay in three seconds. What was passed over would
      // still be missing on a connection that lasts.
      await stack.kill();
      stack.options = [];
      await stack.start();
    });
  });
});

test('a page that is frozen as by a laptop that sleeps, and whose connection is gone when it goes on', async ({ page, wire, stack }) => {
  await follow(page, wire, stack);
  await inState(page, 'live websocket');
  const devtools = await page.context().newCDPSession(page);
  await expectComplete(page, stack, async () => {
    const before = await received(page);
    await devtools.send('Page.setWebLifecycleState', { state: 'frozen' });
    await expect.poll(async () => (await everything(stack)).length).toBeGreaterThan(before + 60);
    // The server and what stands between have forgotten the connection, and nobody is told.
    wire.isSilent = true;
    await stack.kill();
    await stack.start();
    wire.isSilent = false;
    await devtools.send('Page.setWebLifecycleState', { state: 'active' });
    await expect.poll(() => received(page)).toBeGreaterThan(before + 60);
  });
});

for (const [transport, what, refuses] of [
  ['sse', 'Server-Sent Events', (request) => /^upgrade: websocket/im.test(request)],
  ['poll', 'long polls', (request) => /^upgrade: websocket|^GET \/v1\/stream/im.test(request)],
]) {
  test(`a network that lets no WebSockets through, over ${what}, which is cut`, async ({ page, wire, stack }) => {
    wire.refuses = refuses;
    // Polls begin with the present, and each connection that fails costs a wait.
    await follow(page, wire, stack);
    await inState(page, `live ${transport}`);
    await expectComplete(page, stack, async () => {
      for (let cut = 0; cut < 2; cut += 1) {
        const before = await received(page);
        wire.cut();
        await expect.poll(() => received(page)).toBeGreaterThan(before);
      }
      await stack.kill();
      await stack.start();
      const before = await received(page);
      await expect.poll(() => received(page)).toBeGreaterThan(before);
    });
    expect(await page.evaluate(() => feed.client.state.transport)).toBe(transport);
  });
}

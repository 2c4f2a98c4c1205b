// The page against a server that does what a real one does not do on demand. What the client package does
// there is tested in client/test; here it is what a person sees of it.

import { expect, expectCount, openAlone, rows, state, test } from './page.js';

const event = (cursor, more = {}) => ({
  id: `evt_${cursor}`,
  type: 'send',
  occurred_at: '2026-11-21T22:26:40Z',
  recipient: `${cursor}@example.net`,
  detail: {},
  cursor,
  ...more,
});

const replay = (...cursors) => ({ type: 'events', replay: true, events: cursors.map((cursor) => event(cursor)), cursor: cursors.at(-1) });
const pushed = (...cursors) => ({ type: 'events', events: cursors.map((cursor) => event(cursor)), cursor: cursors.at(-1) });
const live = (cursor, recovered = true) => ({ type: 'live', recovered, cursor });

/**
 * A server that answers from a script: `answers[n]` is called with each message of connection n (the
 * last one also with those of all later connections).
 */
async function serve(page, answers, options) {
  await openAlone(
    page,
    (socket, n) => {
      const send = (...messages) => messages.forEach((message) => socket.send(JSON.stringify(message)));
      socket.onMessage((text) => {
        const message = JSON.parse(text);
        answers[Math.min(n, answers.length) - 1]({ message, send, socket });
      });
    },
    options,
  );
}

test('a cursor that the server does not know starts the page over', async ({ page }) => {
  await serve(page, [
    ({ send, socket }) => {
      send(replay('old1', 'old2'), live('old2'));
      socket.close();
    },
    ({ message, send }) => {
      if (message.cursor === 'old2') send({ type: 'error', code: 'bad_cursor', message: 'not of this feed' });
      else send(replay('c1'), live('c1'));
    },
  ]);
  await expect(page.getByText('begins again with the newest events')).toBeVisible();
  await expect(rows(page)).toHaveCount(1);
  await expect(rows(page).first()).toContainText('c1@example.net');
});

test('says so when what was missed is no longer kept', async ({ page }) => {
  await serve(page, [({ send }) => send(live('c1', false))]);
  await expect(page.getByText('You were away for longer than events are kept')).toBeVisible();
  await page.getByRole('button', { name: 'Dismiss' }).click();
  await expect(page.locator('#note')).toBeHidden();
});

for (const levels of [1_000, 3_000, 100_000]) {
  test(`an event that has ${levels} levels everywhere can be opened`, async ({ page }) => {
    const deep = `${'{"a":['.repeat(levels / 2)}"the end"${']}'.repeat(levels / 2)}`;
    const fields = { metadata: 0, detail: 0, tags: [0], subject: 0 };
    const text = JSON.stringify(event('c1', fields)).replace(/\b0\b(?=[,\]}])/g, deep);
    await serve(page, [
      ({ send, socket }) => {
        socket.send(`{"type":"events","replay":true,"events":[${text}],"cursor":"c1"}`);
        send(live('c1'));
      },
    ]);
    await page.route('**/v1/events/evt_*', (route) =>
      route.fulfill({ contentType: 'application/json', body: text.replace(/}$/, `,"data":${deep}}`) }),
    );
    await page.getByRole('button', { name: 'c1@example.net' }).click();
    const panel = page.getByRole('dialog');
    await expect(panel.locator('dl').first()).toContainText('the end');
    await expect(panel.locator('pre')).toContainText('"a": [');
  });
}

test('sorts by cursor and not by arrival, and shows an event once', async ({ page }) => {
  await serve(page, [
    ({ message, send }) => {
      if (message.cursor === undefined) send(replay('c2', 'c4'), pushed('c9'), pushed('c3', 'c4', 'B1'), live('c4'), pushed('c9', 'c10'));
      else send(replay('c3', 'c4', 'c9'), live('c9'));
    },
  ]);
  const shown = () => rows(page).locator('.open').allTextContents();
  // Bytewise: a capital before a small letter, and 1 before 2.
  await expect.poll(shown).toEqual(['c9', 'c4', 'c3', 'c2', 'c10', 'B1'].map((cursor) => `${cursor}@example.net`));
  await expectCount(page, '6 events');
});

test('counts down to the next attempt and does not wait when the network is back', async ({ page }) => {
  await page.clock.install({ time: '2026-11-21T22:26:40Z' });
  await page.clock.pauseAt('2026-11-21T22:26:41Z');
  await page.addInitScript(() => {
    Math.random = () => 1;
  });
  let isAway = true;
  let attempts = 0;
  await openAlone(page, (socket, n) => {
    attempts = n;
    if (isAway) socket.close();
    else socket.onMessage(() => socket.send(JSON.stringify(live('c1'))));
  });
  // 0.25 s, 0.5 s, 1 s and so on, until it is 15 s.
  for (const [attempt, wait_ms] of [250, 500, 1_000, 2_000, 4_000, 8_000].entries()) {
    await expect.poll(() => attempts).toBe(attempt + 1);
    await expect(state(page)).toHaveText(/Reconnecting\s+in \d+ s/);
    await page.clock.runFor(wait_ms - 50);
    expect(attempts).toBe(attempt + 1);
    await page.clock.runFor(60);
  }
  await expect(state(page)).toHaveText(/Reconnecting\s+in 15 s/);
  await page.clock.runFor(5_500);
  await expect(state(page)).toHaveText(/Reconnecting\s+in 10 s/);
  isAway = false;
  await page.evaluate(() => dispatchEvent(new Event('online')));
  await expect(state(page)).toHaveText(/Live/);
  expect(attempts).toBe(8);
});

test('says over long polls that it does not look for earlier events', async ({ page }) => {
  const onPoll = async (query, n) => {
    // One event at first; then none ever comes.
    if (query.get('wait') === '20' && n > 2) await new Promise(() => {});
    const events = n === 2 ? [event('c1')] : [];
    return { events, next: 'c1', more: false, recovered: true };
  };
  await openAlone(page, (socket) => socket.close(), { onPoll });
  await expect(state(page)).toHaveText(/Live\s+by polling/);
  await expectCount(page, '1 event');
  await page.getByLabel('Filter', { exact: true }).fill('type:open');
  await expect(page.getByRole('heading', { name: 'Nothing new yet' })).toBeVisible();
  await expect(page.locator('#empty-text')).toContainText('does not look for earlier ones');
});

test('connects to where config.json says', async ({ page }) => {
  const address = new Promise((found) => {
    openAlone(page, (socket) => found(socket.url()), { config: { ws: 'wss://feed.posthorn.test/live' }, token: 'a%2Bb' });
  });
  expect(await address).toBe('wss://feed.posthorn.test/live?ticket=a%2Bb');
});

test('keeps the token out of the address and over a reload, and asks for one when there is none', async ({ page }) => {
  await openAlone(page, (socket) => socket.onMessage(() => socket.send(JSON.stringify(live('c1')))), { token: null });
  await expect(state(page)).toHaveText(/No token/);
  await page.getByRole('textbox', { name: 'Token' }).fill('secret');
  await page.getByRole('button', { name: 'Connect' }).click();
  await expect(state(page)).toHaveText(/Live/);
  await expect(page.getByRole('textbox', { name: 'Token' })).toBeHidden();
  await page.reload();
  await expect(state(page)).toHaveText(/Live/);
  expect(page.url()).not.toContain('secret');
  // Nothing is loaded again, so that it is live before and after.
  await page.goto(`${page.url()}#token=another`);
  await expect.poll(() => page.url()).not.toContain('another');
  await expect(state(page)).toHaveText(/Live/);
});

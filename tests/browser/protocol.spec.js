// The rules by which the page keeps up with the feed, against a server that breaks off on purpose.

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
 * last one also with those of all later connections). Returns what it was sent.
 */
async function serve(page, answers, options) {
  const sent = [];
  await openAlone(
    page,
    (socket, n) => {
      const send = (...messages) => messages.forEach((message) => socket.send(JSON.stringify(message)));
      socket.onMessage((text) => {
        const message = JSON.parse(text);
        sent.push({ connection: n, ...message });
        answers[Math.min(n, answers.length) - 1]({ message, send, socket, resumes: sent.filter((one) => one.action === 'resume').length });
      });
    },
    options,
  );
  return sent;
}

const resumesOf = (sent, connection) =>
  sent.filter((message) => message.action === 'resume' && message.connection === connection).map(({ last, cursor }) => last ?? cursor);

// The push behind `live` is how a test sees that the page has got the answer.
// Each has an event of its own.
const caughtUp = (cursor, resumes) => [live(cursor), pushed(resumes < 3 ? cursor : `${cursor}+${resumes}`)];

/** Lets the further resumes of a connection happen, and their answers arrive, which takes real time. */
async function settle(page, sent) {
  await page.clock.runFor(2_100);
  await expect.poll(() => resumesOf(sent, 1)).toEqual([200, 'c1']);
  await expect(rows(page).filter({ hasText: 'c1@' })).toBeVisible();
  await page.clock.runFor(10_000);
  await expect.poll(() => resumesOf(sent, 1)).toEqual([200, 'c1', 'c1']);
  await expect(rows(page).filter({ hasText: 'c1+3@' })).toBeVisible();
}

const answered = ({ message, send, resumes }) => {
  if (message.action === 'ping') send({ type: 'pong' });
  else if (message.cursor === undefined) send(live('c1'));
  else send(...caughtUp(message.cursor, resumes));
};

test('asks for the newest 200 first and resumes from the cursor two and twelve seconds later', async ({ page }) => {
  await page.clock.install();
  const sent = await serve(page, [answered]);
  await expect(state(page)).toHaveText(/Live/);
  expect(resumesOf(sent, 1)).toEqual([200]);
  await settle(page, sent);
  await page.clock.runFor(50_000);
  expect(resumesOf(sent, 1)).toHaveLength(3);
});

test('only replay advances the cursor until the feed is live', async ({ page }) => {
  const sent = await serve(page, [
    ({ send, socket }) => {
      send(replay('c1', 'c5'), pushed('c9'));
      socket.close();
    },
    answered,
  ]);
  await expect.poll(() => resumesOf(sent, 2)[0]).toBe('c5');
  await expect(rows(page)).toHaveCount(3);
});

test('what is pushed advances the cursor once the feed is live, and never backwards', async ({ page }) => {
  const sent = await serve(page, [
    ({ send, socket }) => {
      send(live('c5'), pushed('c9'), pushed('c7'));
      socket.close();
    },
    answered,
  ]);
  await expect.poll(() => resumesOf(sent, 2)[0]).toBe('c9');
});

test('a resume that is too long for one answer is continued at once', async ({ page }) => {
  const sent = await serve(page, [
    ({ message, send }) => {
      if (message.cursor === undefined) send(replay('c1'), { type: 'continue', cursor: 'c1+' });
      else if (message.cursor === 'c1+') send(replay('c2'), live('c2'));
      else send(live('c2'));
    },
  ]);
  await expect(state(page)).toHaveText(/Live/);
  expect(resumesOf(sent, 1).slice(0, 2)).toEqual([200, 'c1+']);
  await expect(rows(page)).toHaveCount(2);
});

test('pings every minute and fills a gap from where it began', async ({ page }) => {
  await page.clock.install();
  let hasGap = true;
  const sent = await serve(page, [
    ({ message, send, resumes }) => {
      if (message.action === 'ping' && hasGap) send({ type: 'gap', cursor: 'b3' });
      else if (message.cursor === 'b3') send(replay('b4'), live('c1'));
      else answered({ message, send, resumes });
    },
  ]);
  await expect(state(page)).toHaveText(/Live/);
  await settle(page, sent);
  await page.clock.runFor(48_000);
  await expect.poll(() => resumesOf(sent, 1)).toEqual([200, 'c1', 'c1', 'b3']);
  await expect(rows(page)).toHaveCount(3);
  await expect(state(page)).toHaveText(/Live/);
  hasGap = false;
  // The server counts a connection in again as slowly as a new one: two more looks.
  await page.clock.runFor(2_100);
  await expect(rows(page).filter({ hasText: 'c1+5@' })).toBeVisible();
  await page.clock.runFor(10_000);
  await expect(rows(page).filter({ hasText: 'c1+5+6@' })).toBeVisible();
  await page.clock.runFor(48_000);
  await expect.poll(() => sent.filter((message) => message.action === 'ping').length).toBe(2);
  await expect(state(page)).toHaveText(/Live/);
});

test('a tab that comes back to the front asks at once whether the connection lives', async ({ page }) => {
  const sent = await serve(page, [answered]);
  await expect(state(page)).toHaveText(/Live/);
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await expect.poll(() => sent.map(({ action }) => action)).toContain('ping');
});

test('a connection lost while a gap is being filled begins again at the gap', async ({ page }) => {
  await page.clock.install();
  const sent = await serve(page, [
    ({ message, send, socket, resumes }) => {
      if (message.action === 'ping') send({ type: 'gap', cursor: 'b3' });
      else if (message.cursor === 'b3') socket.close();
      else answered({ message, send, resumes });
    },
    answered,
  ]);
  await expect(state(page)).toHaveText(/Live/);
  await settle(page, sent);
  await page.clock.runFor(48_000);
  await expect.poll(() => resumesOf(sent, 1).at(-1)).toBe('b3');
  await expect.poll(() => resumesOf(sent, 2)[0]).toBe('b3');
});

test('a ping without an answer in ten seconds ends the connection', async ({ page }) => {
  await page.clock.install();
  const sent = await serve(page, [
    ({ message, send, resumes }) => {
      if (message.action === 'resume') answered({ message, send, resumes });
    },
    answered,
  ]);
  await expect(state(page)).toHaveText(/Live/);
  await settle(page, sent);
  await page.clock.runFor(48_000);
  await expect.poll(() => sent.filter((message) => message.action === 'ping').length).toBe(1);
  await expect(state(page)).toHaveText(/Live/);
  await page.clock.runFor(10_000);
  await page.clock.runFor(300);
  await expect.poll(() => resumesOf(sent, 2)[0]).toBe('c1+3');
});

test('a resume without an answer ends the connection', async ({ page }) => {
  await page.clock.install();
  const sent = await serve(page, [({ send }) => send({ message: 'Internal server error', requestId: 'r' }), answered]);
  await expect.poll(() => sent.length).toBe(1);
  await page.clock.runFor(32_000);
  await expect.poll(() => resumesOf(sent, 2)[0]).toBe(200);
  await expect(state(page)).toHaveText(/Live/);
});

test('a cursor that the server does not know starts the page over', async ({ page }) => {
  const sent = await serve(page, [
    ({ send, socket }) => {
      send(replay('old1', 'old2'), live('old2'));
      socket.close();
    },
    ({ message, send }) => {
      if (message.cursor === 'old2') send({ type: 'error', code: 'bad_cursor', message: 'not of this feed' });
      else send(replay('c1'), live('c1'));
    },
  ]);
  await expect.poll(() => resumesOf(sent, 2).slice(0, 2)).toEqual(['old2', 200]);
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
  await page.goto(`${page.url()}#token=another`);
  await expect(state(page)).toHaveText(/Live/);
  expect(page.url()).not.toContain('another');
});

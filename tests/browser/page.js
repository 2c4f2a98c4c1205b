// What the tests do with the page, in the page's own words.

import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { test as base, expect } from '@playwright/test';
import { Stack } from './stack.js';

export { expect };

/** `stack`: a local stack of the test's own. Any script error or content violation fails the test. */
export const test = base.extend({
  stack: async ({}, use) => {
    const stack = await Stack.start();
    await use(stack);
    await stack.discard();
  },
  page: async ({ page }, use) => {
    const errors = [];
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('console', (message) => {
      if (/Content Security Policy|Trusted/.test(message.text())) errors.push(message.text());
    });
    page.on('dialog', async (dialog) => {
      errors.push(`a dialog: ${dialog.message()}`);
      await dialog.dismiss();
    });
    await use(page);
    expect(errors).toEqual([]);
  },
});

export const state = (page) => page.locator('#state');
export const rows = (page) => page.locator('.row');
export const chip = (page, name) => page.locator('#chips').getByRole('button', { name });

/** Opens the page of a stack and waits until it is live. */
export async function open(page, stack) {
  await page.goto(stack.page);
  await expect(state(page)).toHaveText(/^\s*Live\s*$/);
}

/** Waits until the page says that it has so many events: a text or a pattern. */
export async function expectCount(page, text) {
  await expect(page.locator('#count')).toHaveText(text);
}

/** The cells of every row, from the top of the list to its end, of which only those in sight exist. */
async function allRows(page) {
  const total = Number(await page.locator('#table').getAttribute('aria-rowcount')) - 1;
  const found = new Map();
  for (let number = 1; number <= total; number += 15) {
    await page.evaluate((to) => {
      const body = document.getElementById('rows');
      const row_px = Number.parseFloat(getComputedStyle(body).getPropertyValue('--row'));
      scrollTo({ top: body.getBoundingClientRect().top + scrollY + to * row_px, behavior: 'instant' });
    }, number - 1);
    await expect(page.locator(`.row[aria-rowindex="${number + 1}"]`)).toBeAttached();
    const cells = await rows(page).evaluateAll((all) =>
      all.map((row) => [row.ariaRowIndex, [...row.children].map((cell) => cell.textContent.trim())]),
    );
    for (const [index, texts] of cells) found.set(Number(index), texts);
  }
  await page.evaluate(() => scrollTo({ top: 0, behavior: 'instant' }));
  if (total > 0) await expect(rows(page).first()).toHaveAttribute('aria-rowindex', '2');
  return [...found].sort(([a], [b]) => a - b).map(([, texts]) => texts);
}

/** Every row's recipient, from the top of the list to its end. */
export async function recipients(page) {
  return (await allRows(page)).map(([, recipient]) => recipient);
}

/** How far the page can be scrolled sideways. */
export function sidewaysOverflow(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

/** The frames of the page's WebSockets as they pass: `sent` and `received`, parsed. */
export function watchSocket(page) {
  const frames = { sent: [], received: [] };
  const parsed = ({ payload }) => JSON.parse(payload);
  page.on('websocket', (socket) => {
    socket.on('framesent', (frame) => frames.sent.push(parsed(frame)));
    socket.on('framereceived', (frame) => frames.received.push(parsed(frame)));
  });
  return frames;
}

const DASHBOARD = join(import.meta.dirname, '../../dashboard');
const CLIENT = join(import.meta.dirname, '../../client/dist');
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
const SITE = 'http://posthorn.test';

/**
 * The page without a stack, for what a real server does not do on demand. `onSocket(socket, n)` plays
 * the server on the page's n-th connection, `onPoll(query, n)` gives the answer of its n-th long poll.
 */
export async function openAlone(page, onSocket, { config = {}, token = 'token', onPoll } = {}) {
  let connections = 0;
  let polls = 0;
  await page.route(`${SITE}/**`, async (route) => {
    const { pathname } = new URL(route.request().url());
    if (pathname === '/config.json') return route.fulfill({ json: config });
    if (pathname === '/v1/tickets') {
      const ticket = (await route.request().headerValue('authorization')).slice('Bearer '.length);
      const url = `ws://posthorn.test/live?ticket=${encodeURIComponent(ticket)}`;
      return route.fulfill({ status: 201, json: { ticket, url, poll_url: onPoll && `${SITE}/v1/events` } });
    }
    if (pathname === '/v1/events') {
      const json = await onPoll(new URL(route.request().url()).searchParams, (polls += 1));
      // The page may have given it up.
      return route.fulfill({ json }).catch(() => {});
    }
    const folder = pathname === '/posthorn-client.js' ? CLIENT : DASHBOARD;
    const path = pathname === '/' ? '/index.html' : pathname;
    return route.fulfill({ body: await readFile(join(folder, path)), contentType: TYPES[extname(path)] });
  });
  await page.routeWebSocket(/\/live\?/, (socket) => onSocket(socket, (connections += 1)));
  await page.goto(`${SITE}/${token ? `#token=${token}` : ''}`);
}

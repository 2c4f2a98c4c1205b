import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { defineConfig } from '@playwright/test';

// Chromium's own services look for hosts that a closed network does not have, at every start.
const quiet = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-quic',
  '--disable-sync',
  '--no-first-run',
];
// Whichever tests/setup.sh takes for one, in its order.
const browser = ['chromium', 'chromium-browser', 'google-chrome']
  .flatMap((name) => process.env.PATH.split(delimiter).map((directory) => join(directory, name)))
  .find((path) => existsSync(path));
// Its sandbox does not run as root, as which containers usually run.
const isRoot = process.getuid?.() === 0;

export default defineConfig({
  testDir: '.',
  testMatch: '*.spec.js',
  forbidOnly: Boolean(process.env.CI),
  // Every test starts a local stack of its own.
  workers: 2,
  fullyParallel: true,
  // Far longer than anything takes on a busy machine: it only matters when a test fails.
  timeout: 180_000,
  expect: { timeout: 45_000 },
  reporter: 'list',
  use: {
    locale: 'en-GB',
    timezoneId: 'Europe/Berlin',
    viewport: { width: 1280, height: 800 },
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? browser,
      args: isRoot ? [...quiet, '--no-sandbox'] : quiet,
    },
  },
});

/** A real Chromium that can reach this machine and nothing else. */
import { accessSync, constants } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { PROJECT } from './sluice-process.ts';

/** Ignored by git; what a person looks at after a test. */
export const ARTIFACTS = join(PROJECT, '.artifacts');

const KNOWN_PATHS = [
  process.env['CHROMIUM'] ?? '',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
];

/** @returns null where none is installed. */
export function findChromium(): string | null {
  return KNOWN_PATHS.find((path) => path !== '' && isExecutable(path)) ?? null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export type LocalBrowser = {
  readonly page: Page;
  /** Everything the page asked for that is not on this machine, and everything it complained of. Empty when all is well. */
  readonly complaints: string[];
  close(): Promise<void>;
};

export async function openLocalBrowser(executablePath: string): Promise<LocalBrowser> {
  // What Chromium keeps in a home directory stays in the project.
  const home = join(ARTIFACTS, 'home');
  await mkdir(home, { recursive: true });
  const { PATH = '' } = process.env;
  const browser = await chromium.launch({
    executablePath,
    args: ['--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1'],
    // Root has no sandbox to offer, and many containers neither; only our own page is opened.
    chromiumSandbox: false,
    env: { PATH, HOME: home, XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home },
  });
  try {
    return await openPage(browser);
  } catch (error) {
    await browser.close();
    throw error;
  }
}

async function openPage(browser: Browser): Promise<LocalBrowser> {
  const complaints: string[] = [];
  const page = await browser.newPage({ viewport: { width: 1280, height: 1400 } });
  await page.route('**/*', async (route) => {
    const url = route.request().url();
    if (isLocal(url)) return await route.continue();
    complaints.push(`asked for ${url}`);
    await route.abort();
  });
  page.on('pageerror', (error) => complaints.push(`error ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(`said ${message.text()}`);
  });
  page.on('websocket', (socket) => {
    if (!isLocal(socket.url())) complaints.push(`connected to ${socket.url()}`);
  });
  return { page, complaints, close: async () => await browser.close() };
}

function isLocal(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === 'data:' || protocol === 'blob:' || hostname === '127.0.0.1' || hostname === 'localhost';
}

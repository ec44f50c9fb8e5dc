/**
 * Keys in a folder, one file each: for scripts and small services on one machine. A service with a database keeps them there, in the transaction that decides to pay.
 *
 * The only module of this client that needs Node.
 */
import { createHash } from 'node:crypto';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { KeyStore } from './key-store.ts';

/** @param directory made where it is not there. */
export function createFileKeyStore(directory: string): KeyStore {
  return {
    keep: async (reference, key) => {
      await makeDurably(resolve(directory));
      const file = join(directory, createHash('sha256').update(reference, 'utf8').digest('hex'));
      const draft = `${file}.${key}`;
      await writeDurably(draft, JSON.stringify({ reference, key }));
      try {
        // Of several at once one succeeds, and a file under this name is always whole.
        await link(draft, file);
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
      } finally {
        await rm(draft, { force: true });
      }
      await syncDirectory(directory);
      const kept: unknown = JSON.parse(await readFile(file, 'utf8'));
      if (typeof kept === 'object' && kept !== null && 'key' in kept && typeof kept.key === 'string') return kept.key;
      throw new Error(`${file} holds no key.`);
    },
  };
}

/** Every folder that is new is named in the one above it. */
async function makeDurably(directory: string): Promise<void> {
  const first = await mkdir(directory, { recursive: true });
  if (first === undefined) return;
  for (let made = directory; made.length >= first.length; made = dirname(made)) await syncDirectory(dirname(made));
}

async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, 'w');
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** The name is durable when its folder is. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/**
 * A small file that several processes replace, on a disk that they share: whoever reads finds one whole content or the other, whatever stops a writer where, and what is written is decided by what is there.
 *
 * One writes at a time, under a lock file. Who died in the middle leaves it behind: it is taken away once it was seen unchanged for a while, by one's own clock, since the disk's may be another's. Should two write at
 * once all the same, each has a temporary file of its own: then the later one stands, and neither is torn.
 */
import { link, open, readFile, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Clock, type Micros, microsToMillis } from '../env/clock.ts';
import type { Random } from '../env/random.ts';

export type ReplacedFile = {
  /**
   * @param contentOf what is to stand there, made under the lock; null: what is there stays.
   * @returns false where somebody else is writing: nothing was done, try again. @throws as the file system does.
   */
  replace(contentOf: () => Promise<string | null>): Promise<boolean>;
};

const LEFT_BEHIND_MS = 3_000; // Writing takes milliseconds, on a busy disk a second.

export function createReplacedFile(
  path: string,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): ReplacedFile {
  const own = random.uuid();
  const lockPath = `${path}.lock`;
  const temporary = `${path}.${own}.new`;
  let seen: { readonly holder: string; readonly since: Micros } | null = null;
  let turns = 0;

  /** @returns null where somebody else has it. */
  async function lock(): Promise<string | null> {
    turns += 1;
    const holder = `${own} ${turns}`;
    try {
      await writeNew(lockPath, holder, { isDurable: false });
      seen = null;
      return holder;
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error;
    }
    const other = await readIfThere(lockPath);
    if (other === null) return null;
    if (seen?.holder !== other) seen = { holder: other, since: clock.nowMicros() };
    else if (microsToMillis(clock.nowMicros() - seen.since) >= LEFT_BEHIND_MS) await takeAway(other);
    return null;
  }

  /** Set aside first: what is removed is what was looked at, and not the lock of somebody who was quicker. */
  async function takeAway(holder: string): Promise<void> {
    const aside = `${path}.${own}.old`;
    try {
      await rename(lockPath, aside);
    } catch (error) {
      if (isCode(error, 'ENOENT')) return;
      throw error;
    }
    if ((await readIfThere(aside)) !== holder) {
      await link(aside, lockPath).catch((error: unknown) => {
        if (!isCode(error, 'EEXIST')) throw error;
      });
    }
    await unlink(aside);
  }

  async function unlock(holder: string): Promise<void> {
    if ((await readIfThere(lockPath)) === holder) await unlink(lockPath);
  }

  return {
    replace: async (contentOf) => {
      const holder = await lock();
      if (holder === null) return false;
      try {
        const content = await contentOf();
        if (content === null) return true;
        await unlinkIfThere(temporary);
        await writeNew(temporary, content, { isDurable: true });
        await rename(temporary, path);
        await syncFolder(dirname(path));
        return true;
      } finally {
        await unlock(holder);
      }
    },
  };
}

async function writeNew(path: string, content: string, { isDurable }: { readonly isDurable: boolean }): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(content);
    if (isDurable) await file.sync();
  } finally {
    await file.close();
  }
}

/** Or the name may still lead to the old content after a loss of power. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isCode(error, 'ENOENT')) return null;
    throw error;
  }
}

async function unlinkIfThere(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (!isCode(error, 'ENOENT')) throw error;
  });
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

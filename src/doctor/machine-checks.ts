/** What this machine has for what we keep on it: room, and the file outside the database. */
import { constants } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { readLogAnchor } from '../db/log-anchor.ts';
import { messageOf, PermanentError } from '../env/errors.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

const ROOM_WARN = 0.1;
const ROOM_FAIL = 0.02;

/** @param anchorFile of the configuration. @param dataDir where an embedded database is; null: there is none. */
export async function checkMachine(places: {
  readonly anchorFile: string | null;
  readonly dataDir: string | null;
}): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  if (places.anchorFile === null) {
    findings.push(
      warn(
        'anchor',
        'nothing is kept outside the database',
        'A database whose files are put back is not noticed, and may pay twice: set SLUICE_ANCHOR_FILE.',
      ),
    );
  } else {
    const folder = dirname(places.anchorFile);
    try {
      await access(folder, constants.W_OK);
      // What cannot be read keeps a process from starting.
      const anchor = await readLogAnchor(places.anchorFile);
      const found = anchor === null ? 'it will be written' : `it has the log up to ${anchor.mark.position}`;
      findings.push(ok('anchor', `its folder can be written to, and ${found}`), ...(await roomOf(folder)));
    } catch (error) {
      const todo =
        error instanceof PermanentError
          ? 'No process starts with it. Look into it, and at who wrote it; docs/runbooks/database-went-back.md before you remove it.'
          : 'Make the folder of SLUICE_ANCHOR_FILE, writable for the user we run as.';
      findings.push(fail('anchor', messageOf(error), todo));
    }
  }
  if (places.dataDir !== null) findings.push(...(await roomOf(places.dataDir)));
  return findings;
}

async function roomOf(folder: string): Promise<readonly Finding[]> {
  const { bavail, blocks, bsize } = await statfs(folder);
  const share = blocks === 0 ? 1 : bavail / blocks;
  const found = `${Math.floor((bavail * bsize) / 1_048_576)} MiB (${Math.floor(share * 100)} %) are free`;
  const todo = 'Make room: what cannot be written stops payouts.';
  if (share < ROOM_FAIL) return [fail('disk', found, todo, folder)];
  return [share < ROOM_WARN ? warn('disk', found, todo, folder) : ok('disk', found, folder)];
}

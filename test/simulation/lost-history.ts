/**
 * The database goes back in time in the middle of a schedule, and the ledger does not: all tables are put back to what was committed at an earlier moment, all connections break, and the processes are
 * started anew or live on. Two kinds, since the product has two ways to notice:
 *
 *   DUMP   restored into another database: what PostgreSQL says of itself is not what the log was written in
 *   FILES  the files are put back: nothing inside tells, but the log and the write-ahead log end earlier than each process has seen. A process whose anchor is older than the backup cannot know, and
 *          is not expected to: such a backup is put back as a dump.
 */
import type pg from 'pg';
import type { Anchor } from './anchor.ts';
import type { Backups } from './backups.ts';
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { Marks } from './marks.ts';
import type { WhatStood } from './what-stood.ts';

export type LostHistory = {
  readonly isOn: boolean;
  /** After every commit: sometimes a backup is made. */
  afterCommit(): Promise<void>;
  /** Bytes of write-ahead log, as the database tells them. */
  readonly walPosition: () => bigint;
  /** Puts the last backup back, where there is one. @returns how, for the trace; empty: nothing happened. */
  strike(): Promise<string>;
  /** @throws Violation. When nobody works any more. */
  atRest(): Promise<void>;
  /** Whether all that is to happen has happened once. */
  hasStruck(): boolean;
  /** Whether somebody has noticed the last restore: the log has another epoch than it was put back with. Until then nothing stands again. */
  isNoticed(logEpoch: string): boolean;
  /** Whether a hash was written down in a history that is gone: what a process asks for on its word is nobody's fault. */
  wasWritten(hash: Uint8Array): boolean;
};

export type LostHistoryOptions = {
  readonly backups: Backups | null;
  readonly observer: pg.Client;
  readonly faults: FaultPlan;
  readonly dice: Dice;
  readonly marks: Marks;
  /** Of those who may sign. */
  readonly anchors: readonly Anchor[];
  /** Breaks all connections, whatever runs on them. */
  readonly disconnect: () => Promise<void>;
  readonly crashAll: () => void;
  /** Tells those who know what was. */
  readonly onWentBack: () => void;
  readonly whatStood: WhatStood;
  /** Whether there is much to forget by now: mostly that is waited for. */
  readonly isRipe: () => boolean;
};

const RESTORES_MAX = 2;
const PATIENT = 0.7;
const VERY_PATIENT = 0.97;
const FILES = 0.7;
/** Of the write-ahead log, beyond a backup, that everybody must have seen to be sure to miss it while the others go on writing. */
const COMMITS_SEEN_MIN = 40n;
/** PostgreSQL's words for another database; of the form that src/db/log-history.ts reads. */
const ELSEWHERE = '1.00000001.1.1';

export function createLostHistory(options: LostHistoryOptions): LostHistory {
  const { backups, observer, faults, dice, marks, anchors, disconnect, crashAll, onWentBack, whatStood, isRipe } =
    options;
  const isOn = faults.isDrawn('databaseRestored') && backups !== null;
  const backupRate = dice.logUniform(0.02, 0.3);
  const written = new Set<string>();
  let wal = 0n;
  let backup: { readonly wal: bigint; readonly position: bigint } | null = null;
  let restores = 0;
  /** With which it was put back. */
  let epoch: string | null = null;

  /** Null: nobody has looked at the log yet, so that nobody would know it again. */
  const readPosition = async (): Promise<bigint | null> => {
    const { rows } = await observer.query<{ position: string }>(
      'SELECT last_position::text AS position FROM event_log WHERE history IS NOT NULL',
    );
    const [log] = rows;
    return log === undefined ? null : BigInt(log.position);
  };
  const keepWritten = async (): Promise<void> => {
    const { rows } = await observer.query<{ hash: string }>(`SELECT encode(hash, 'hex') AS hash FROM signed_hash`);
    for (const { hash } of rows) written.add(hash);
  };

  return {
    isOn,
    walPosition: () => wal,
    atRest: async () => {
      if (restores > 0) await whatStood.atRest(observer);
    },
    hasStruck: () => !isOn || restores > 0,
    isNoticed: (logEpoch) => logEpoch !== epoch,
    wasWritten: (hash) => written.has(Buffer.from(hash).toString('hex')),
    afterCommit: async () => {
      if (!isOn) return;
      wal += 1n;
      if (faults.isOver() || restores === RESTORES_MAX || !dice.chance(backupRate)) return;
      // Mostly an old one is kept, so that much is lost with it.
      if (backup !== null && !dice.chance(0.1)) return;
      const position = await readPosition();
      if (position === null) return;
      await backups.make();
      backup = { wal, position };
      marks.add('backup made');
    },
    strike: async () => {
      if (!isOn || backup === null || restores === RESTORES_MAX || backup.wal === wal) return '';
      if (!isRipe() && dice.chance(VERY_PATIENT)) return '';
      const back = backup;
      for (const anchor of anchors) anchor.write();
      const isKnownOutside = anchors.every((anchor) => {
        const seen = anchor.written();
        return seen !== null && (seen.position > back.position || seen.walPosition > back.wal + COMMITS_SEEN_MIN);
      });
      // Files are put back only where everybody will miss something: mostly that is waited for.
      if (!isKnownOutside && dice.chance(PATIENT)) return '';
      restores += 1;
      const kind = isKnownOutside && dice.chance(FILES) ? 'FILES' : 'DUMP';
      const isDown = dice.chance(0.5);
      await keepWritten();
      await whatStood.note(observer, anchors);
      if (isDown) crashAll();
      await disconnect();
      await backups.putBack();
      await whatStood.wentBack(observer);
      epoch = (await observer.query<{ epoch: string }>('SELECT epoch FROM event_log')).rows[0]?.epoch ?? null;
      if (kind === 'DUMP') await observer.query('UPDATE event_log SET history = $1', [ELSEWHERE]);
      wal = back.wal;
      onWentBack();
      marks.add(`database restored: ${kind}, processes ${isDown ? 'down' : 'alive'}`);
      return `database went back: ${kind}${isDown ? ', processes down' : ''}`;
    },
  };
}

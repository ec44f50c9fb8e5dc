/**
 * Mistakes that the simulation must find: each changes a line or two of the product as it is loaded, never on disk. A harness that lets one live is blind there.
 */
import type { Planted } from '../mutants/planted.ts';
import type { FaultClass } from './fault-plan.ts';

export type Mutant = Planted & {
  /** Classes of faults without which it cannot show: on in each seed that looks for it. */
  readonly company: readonly FaultClass[];
};

const WRITER = 'ingestion/batch-writer.ts';
const MOVE = 'await movePosition(tx, treasury, next, { updatesCount: fresh.length, observedAt: clock.nowMicros() });';
const COMMITTED = "await failpoint('ingestion.afterCommit');";
const TRANSACTION = 'const { next, quarantined } = await db.transaction().execute(async (tx) => {';

export const INGESTION_MUTANTS: readonly Mutant[] = [
  {
    name: 'effects-then-position',
    mistake: 'The position is moved in a transaction of its own, after the one that writes the effects.',
    company: [],
    changes: [
      { file: WRITER, find: MOVE, replace: '' },
      { file: WRITER, find: 'return { next, quarantined };', replace: 'return { next, quarantined, fresh };' },
      {
        file: WRITER,
        find: TRANSACTION,
        replace: TRANSACTION.replace('quarantined', 'quarantined, fresh'),
      },
      {
        file: WRITER,
        find: COMMITTED,
        replace: `await db.transaction().execute((tx) => movePosition(tx, treasury, next, { updatesCount: fresh.length, observedAt: clock.nowMicros() }));
      ${COMMITTED}`,
      },
    ],
  },
  {
    name: 'position-then-effects',
    mistake: 'The position is moved first, in a transaction of its own.',
    company: [],
    changes: [
      { file: WRITER, find: MOVE, replace: '' },
      { file: WRITER, find: 'await lockPosition(tx, treasury, position);', replace: '' },
      {
        file: WRITER,
        find: TRANSACTION,
        replace: `const ahead = positionAfter(batch, batch.filter((item) => item.kind !== 'CHECKPOINT'), position);
          await db.transaction().execute(async (tx) => {
            await lockPosition(tx, treasury, position);
            await movePosition(tx, treasury, ahead, { updatesCount: batch.length, observedAt: clock.nowMicros() });
          });
          ${TRANSACTION}`,
      },
    ],
  },
  {
    name: 'no-fencing',
    mistake: 'Holding the lease is believed to be enough: the position is locked, not compared.',
    company: ['pauseAtStatement', 'pauseAtFailpoint'],
    changes: [
      {
        file: 'ingestion/position.ts',
        find: `    .where('fencing_token', '=', expected.fencingToken)
    .where('epoch', '=', expected.epoch)
    .where('ledger_offset', '=', expected.offset)
`,
        replace: '',
      },
    ],
  },
  {
    name: 'no-replay-guard',
    mistake: 'What was delivered before is taken for new.',
    company: ['commitAnswerLost'],
    changes: [
      {
        file: 'ingestion/update-store.ts',
        find: 'return once.filter((update) => fresh.has(update.updateId));',
        replace: 'return fresh.size === -1 ? [] : once;',
      },
    ],
  },
  {
    name: 'sink-twice',
    mistake: 'A sink is called again after it has succeeded.',
    company: [],
    changes: [
      {
        file: WRITER,
        find: 'for (const sink of sinks) await sink.apply(tx, treasury, some);',
        replace: 'for (const sink of [...sinks, ...sinks]) await sink.apply(tx, treasury, some);',
      },
    ],
  },
  {
    name: 'batch-dropped-on-error',
    mistake: 'A batch that failed for a passing reason is left behind, and the next one is written.',
    company: ['statementError'],
    changes: [
      {
        file: 'ingestion/stream-worker.ts',
        find: 'position = await writer.write(batch, position);',
        replace: 'position = await writer.write(batch, position).catch(() => position);',
      },
    ],
  },
  {
    name: 'record-time-ahead',
    mistake: 'Record time is taken to have passed a little further than the ledger said.',
    company: [],
    changes: [
      {
        file: 'ingestion/next-position.ts',
        find: 'recordTimes.set(synchronizerId, recordTime);',
        replace: 'recordTimes.set(synchronizerId, recordTime + 100_000n);',
      },
    ],
  },
  {
    name: 'rank-from-node-id',
    mistake: 'A transfer is told by its node id, which every participant numbers its own way.',
    company: [],
    changes: [
      {
        file: 'tokens/update-effects.ts',
        find: '.map((draft, rank) => ({ ...draft, rank, id: transferId(party, transaction.updateId, rank) }));',
        replace:
          '.map((draft) => ({ ...draft, rank: draft.nodeId, id: transferId(party, transaction.updateId, draft.nodeId) }));',
      },
    ],
  },
  {
    name: 'offset-taken-as-inclusive',
    mistake: 'The stream is asked for from the offset after the newest one, which the exclusive begin then skips.',
    company: ['streamTorn'],
    changes: [
      {
        file: 'ingestion/stream-worker.ts',
        find: 'beginExclusive: position.offset,',
        replace: 'beginExclusive: position.offset + 1n,',
      },
    ],
  },
];

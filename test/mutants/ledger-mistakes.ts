/** Mistakes about what the ledger, or those who speak of it, say. */
import type { DirectMistake } from './direct-mistake.ts';

const HOSTILE = 'test/tokens/hostile-effects.test.ts';
const ANCHOR = 'test/ingestion/anchor.test.ts';
const CONTINUITY = 'ingestion/continuity.ts';

export const LEDGER_MISTAKES: readonly DirectMistake[] = [
  {
    name: 'admin-signature-not-checked',
    mistake: 'A holding that names an admin is the admin’s.',
    changes: [
      {
        file: 'tokens/views.ts',
        find: 'return event.signatories.includes(instrument.admin);',
        replace: 'return event.signatories.length > 0 && instrument.admin.length > 0;',
      },
    ],
    killer: { file: HOSTILE, test: 'Z11: a holding that names the admin' },
  },
  {
    name: 'instrument-by-id-alone',
    mistake: 'Two instruments of the same name are one.',
    changes: [
      {
        file: 'tokens/holding-changes.ts',
        find: 'function keyOf({ admin, id }: Instrument): string {',
        replace: 'function keyOf({ admin, id }: Instrument): string {\n  if (admin !== id) return id;',
      },
    ],
    killer: { file: HOSTILE, test: 'Z10: what another admin sends beside it' },
  },
  {
    name: 'anybody-labels',
    mistake: 'Whoever wraps a transfer may say what it was for.',
    changes: [
      {
        file: 'tokens/belief.ts',
        find: 'authorities.get(exercise.nodeId) ?? new Set()',
        replace: "(authorities === null ? new Set() : 'ANY')",
      },
    ],
    killer: { file: HOSTILE, test: 'Z12: a stranger' },
  },
  {
    name: 'offer-of-any-instrument-accepted',
    mistake: 'An offer whose memo we know is for us, whoever its admin is.',
    changes: [{ file: 'deposits/acceptance/offer-gate.ts', find: 'k.is_accepted AND coalesce', replace: 'coalesce' }],
    killer: { file: 'test/deposits/acceptance.test.ts', test: 'G6: an offer of an instrument' },
  },
  {
    name: 'accepted-before-the-verdict',
    mistake: 'Who is screened can be screened later.',
    changes: [
      {
        file: 'deposits/acceptance/offer-gate.ts',
        find: 'isCleared({ transferId: sql`i.transfer_id`, networkId: sql`p.network_id` })',
        replace: 'isCleared({ transferId: sql`i.transfer_id`, networkId: sql`p.network_id` }) && sql`true`',
      },
    ],
    killer: { file: 'test/deposits/acceptance-passes.test.ts', test: 'G1: what screening has not let pass' },
  },
  {
    name: 'end-of-ledger-is-retried',
    mistake: 'What the participant marks as worth a retry is.',
    changes: [{ file: 'ledger/ledger-error.ts', find: ' && !POSITION_IN_DOUBT.has(code)', replace: '' }],
    killer: { file: 'src/ledger/ledger-error.test.ts', test: 'A13: a node that went back' },
  },
  {
    name: 'unreadable-is-skipped',
    mistake: 'An update that cannot be read has nothing for us.',
    changes: [
      {
        file: 'ingestion/batch-writer.ts',
        find: '      ...refused.map((one) => ({ ...one, changes: null })),\n',
        replace: '',
      },
    ],
    killer: { file: 'test/ingestion/quarantine.test.ts', test: 'A21: a holding that was created for us' },
  },
  {
    name: 'epoch-not-renewed',
    mistake: 'Another numbering is the same history.',
    changes: [
      { file: 'ingestion/epochs.ts', find: 'epoch: position.epoch + 1,', replace: 'epoch: position.epoch,' },
      {
        file: 'ingestion/epochs.ts',
        find: 'started_at: start.startedAt,\n    })\n',
        replace: 'started_at: start.startedAt,\n    })\n    .onConflict((conflict) => conflict.doNothing())\n',
      },
    ],
    killer: { file: ANCHOR, test: 'A13: a node restored to before our position' },
  },
  {
    name: 'offsets-believed',
    mistake: 'An update of ours is there: then our offsets are still right.',
    changes: [
      {
        file: CONTINUITY,
        find: 'if (shown.offset !== offset) {',
        replace: 'if (shown.offset !== offset && offset < 0n) {',
      },
    ],
    killer: { file: ANCHOR, test: 'A14: a restored node that is ahead of us' },
  },
  {
    name: 'content-not-compared',
    mistake: 'An update id says it all.',
    changes: [
      {
        file: 'ingestion/update-identity.ts',
        find: 'if (identityOf(ours) === identityOf(theirs)) return;',
        replace: 'if (ours.updateId === theirs.updateId) return;',
      },
    ],
    killer: { file: ANCHOR, test: 'A14: an update of ours that stands where it was' },
  },
  {
    name: 'checkpoint-is-a-place',
    mistake: 'Reading goes on where the position is, whatever brought it there.',
    changes: [
      {
        file: CONTINUITY,
        find: 'const offset = isBeyondProof ? newest.offset : resumeOffset;',
        replace: 'const { offset } = position;',
      },
    ],
    killer: { file: ANCHOR, test: 'A13: a position that checkpoints moved' },
  },
  {
    name: 'quorum-of-one',
    mistake: 'An answer of Scan is an answer.',
    changes: [
      {
        file: 'scan/agreement.ts',
        find: 'const needed = prints.length - faultsMax;',
        replace: 'const needed = Math.min(1, prints.length - faultsMax);',
      },
    ],
    killer: { file: 'src/scan/agreement.test.ts', test: '' },
  },
];

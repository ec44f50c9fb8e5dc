/** Mistakes with withdrawals that show without a schedule. */
import type { DirectMistake } from './direct-mistake.ts';

const MECHANISM = 'test/withdrawals/mechanism.test.ts';
const ATTEMPTS = 'submissions/attempts.ts';
const TRY = 'submissions/attempt-try.ts';

export const WITHDRAWAL_MISTAKES: readonly DirectMistake[] = [
  {
    name: 'request-body-not-compared',
    mistake: 'The same key is the same request.',
    changes: [
      {
        file: 'withdrawals/withdrawal-requests.ts',
        find: 'if (!hashOf(whole).equals(',
        replace: 'if (hashOf(whole).length === 0 && !hashOf(whole).equals(',
      },
    ],
    killer: { file: MECHANISM, test: 'refused under its key with other content' },
  },
  {
    name: 'unread-is-unpaid',
    mistake: 'What the ledger does not show yet, after a restore, was not paid.',
    changes: [
      {
        file: 'withdrawals/withdrawal-requests.ts',
        find: 'if (!found.hasPaid && found.safe !== null) throw',
        replace: 'if (found.hasPaid && found.safe !== null) throw',
      },
    ],
    killer: { file: 'test/deposits/restored.test.ts', test: 'becomes nobody’s, whoever says so' },
  },
  {
    name: 'keys-shared-by-clients',
    mistake: 'Nobody else will use the same key.',
    changes: [
      {
        file: 'withdrawals/withdrawal-requests.ts',
        find: 'const id = withdrawalId(idKey, request.client, request.idempotencyKey);',
        replace: "const id = withdrawalId(idKey, '', request.idempotencyKey);",
      },
    ],
    killer: { file: 'test/api/withdrawal-requests.test.ts', test: 'another principal’s key' },
  },
  {
    name: 'any-synchronizer-passes-time',
    mistake: 'Time is time, whichever synchronizer it was that passed it.',
    changes: [
      {
        file: ATTEMPTS,
        find: `JOIN synchronizer_time t ON t.treasury_id = s.treasury_id AND t.synchronizer_id = a.synchronizer_id
      WHERE`,
        replace: `JOIN synchronizer_time t ON t.treasury_id = s.treasury_id
      WHERE`,
      },
      {
        file: ATTEMPTS,
        find: `AND t.treasury_id = s.treasury_id AND t.synchronizer_id = a.synchronizer_id
        AND t.record_time`,
        replace: `AND t.treasury_id = s.treasury_id
        AND t.record_time`,
      },
    ],
    killer: { file: MECHANISM, test: 'B4: another synchronizer that has passed' },
  },
  {
    name: 'opened-by-any-clock',
    mistake: 'The newest time that the node told is the time.',
    changes: [
      {
        file: 'submissions/position-clock.ts',
        find: ' AND t.synchronizer_id = ',
        replace: ' ORDER BY t.record_time DESC LIMIT 1 -- ',
      },
    ],
    killer: { file: MECHANISM, test: 'B4: is opened on the synchronizer of the treasury' },
  },
  {
    name: 'no-input-kept',
    mistake: 'What is dead is dead: the next attempt takes whatever is free.',
    changes: [
      {
        file: 'withdrawals/attempt-funding.ts',
        find: 'earlier.get(withdrawal.id) ?? NOTHING_EARLIER',
        replace: 'NOTHING_EARLIER',
      },
    ],
    killer: { file: MECHANISM, test: 'B3: is alive at exactly its target' },
  },
  {
    name: 'kept-input-of-the-newest-alone',
    mistake: 'An attempt contends with the one before it, and that is enough.',
    changes: [
      {
        file: 'withdrawals/input-selection.ts',
        find: 'for (const inputs of earlierInputs) {',
        replace: 'for (const inputs of earlierInputs.slice(-1)) {',
      },
    ],
    killer: { file: 'src/withdrawals/input-selection.test.ts', test: 'every earlier attempt keeps one' },
  },
  {
    name: 'given-away-twice-in-a-pass',
    mistake: 'What was free when the pass began is free.',
    changes: [
      {
        file: 'withdrawals/attempt-funding.ts',
        find: '&& !state.given.has(contractId)',
        replace: '',
      },
    ],
    killer: { file: MECHANISM, test: 'E10, E22: what one pass has given away' },
  },
  {
    name: 'given-up-though-signed',
    mistake: 'An attempt that cannot be tried any more is given up without a look at whether it was signed.',
    changes: [
      {
        file: ATTEMPTS,
        find: `      .where('sign_requested_at', 'is', null)
`,
        replace: '',
      },
      // The table would refuse it.
      {
        file: ATTEMPTS,
        find: `{ state: 'GIVEN_UP', closed_at: nowMicros }`,
        replace: `{ state: 'GIVEN_UP', closed_at: nowMicros, sign_requested_at: null }`,
      },
    ],
    killer: { file: MECHANISM, test: 'is given up only while no signature was asked for' },
  },
  {
    name: 'no-inputs-named',
    mistake: 'The registry finds holdings by itself where none are named.',
    changes: [
      {
        file: 'custody/transfer-argument.ts',
        find: 'elements: inputHoldings.map(contractId)',
        replace: 'elements: inputHoldings.slice(inputHoldings.length).map(contractId)',
      },
    ],
    killer: { file: 'test/custody/intent-check.test.ts', test: 'the argument of the command' },
  },
  {
    name: 'no-last-look-before-signing',
    mistake: 'There was no halt when the try began.',
    changes: [
      {
        file: TRY,
        find: 'afterSignatureRequested`);\n  await store.demandFree(attempt.submissionId);\n',
        replace: 'afterSignatureRequested`);\n',
      },
    ],
    killer: {
      file: 'test/ingestion/freeze.test.ts',
      test: 'a freeze committed at withdrawals.afterSignatureRequested',
    },
  },
  {
    name: 'halted-is-sent',
    mistake: 'What was let sign is sent, and what was halted meanwhile is halted from the next one on.',
    changes: [
      {
        file: 'submissions/attempt-signing.ts',
        find: `(NOT \${isHalted(sql\`s.treasury_id\`, sql\`s.instrument_id\`)} AND NOT`,
        replace: '(NOT',
      },
    ],
    killer: { file: 'test/withdrawals/halts.test.ts', test: 'S9: a signature asked for before the halt' },
  },
  {
    name: 'lapsed-without-witness',
    mistake: 'What the stream does not show did not happen.',
    changes: [{ file: ATTEMPTS, find: '  needsWitness\n    ? sql', replace: '  needsWitness && false\n    ? sql' }],
    killer: { file: 'test/withdrawals/input-witness.test.ts', test: 'with an input active past the proof' },
  },
  {
    name: 'recovered-by-id-alone',
    mistake: 'A payment that carries the id of a withdrawal is its payment, whatever it paid.',
    changes: [
      {
        file: 'withdrawals/recovered-payments.ts',
        find: "if (!isSame) return 'ANOTHER';",
        replace: 'if (isSame === null) return null;',
      },
    ],
    killer: { file: 'test/recovery/payments.test.ts', test: 'E19: nor does a seal of ours' },
  },
  {
    name: 'recovered-though-it-cost-nothing',
    mistake: 'Whatever carries our seal was paid by us.',
    changes: [
      {
        file: 'withdrawals/recovered-payments.ts',
        find: 'return rows[0]?.isSpent === true;',
        replace: 'return rows[0] !== undefined;',
      },
    ],
    killer: { file: 'test/recovery/forged-payments.test.ts', test: 'Z13: a transfer that its admin tells of alone' },
  },
  {
    name: 'earlier-refund-goes-on',
    mistake: 'A refund that was paid, and made anew, leaves the one before it payable.',
    changes: [
      {
        file: 'withdrawals/superseded-refund.ts',
        find: 'c.withdrawal_id IS DISTINCT FROM w.id',
        replace: 'c.withdrawal_id IS DISTINCT FROM c.withdrawal_id',
      },
    ],
    killer: {
      file: 'test/recovery/payments.test.ts',
      test: 'that waits to be paid, as the life before did not let it',
    },
  },
  {
    name: 'fee-subtracted-twice',
    mistake: 'What comes back with an offer is less the fee, twice.',
    changes: [
      {
        file: 'withdrawals/withdrawal-store.ts',
        find: "[...line(payer, amount - fee), ...line(houseAccount('FEES'), fee)]",
        replace: "[...line(payer, amount - fee - fee), ...line(houseAccount('FEES'), fee + fee)]",
      },
    ],
    killer: { file: 'test/withdrawals/guide.test.ts', test: 'an offer token: usd E12: rejected' },
  },
];

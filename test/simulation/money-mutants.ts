/** Mistakes with withdrawals that would lose money: what somebody might think is safe, and is not. */
import type { Mutant } from './mutants.ts';

const ATTEMPTS = 'submissions/attempts.ts';
const FUNDING = 'withdrawals/attempt-funding.ts';
const OPENING = 'submissions/attempt-opening.ts';
const TRY = 'submissions/attempt-try.ts';
const PLAN = 'withdrawals/transfer-plan.ts';
const LOOP = 'submissions/attempt-loop.ts';
const STATE = 'withdrawals/withdrawal-state.ts';
const SINK = 'withdrawals/withdrawal-sink.ts';

/** Where attempts lapse: first those to lock are looked for, then they are ended. */
const CANDIDATES = `t.record_time > a.target_record_time
        AND NOT`;
const LAPSED = 't.record_time > a.target_record_time AND NOT';
/** What was signed is not tried any more when it is past, and is asked about: both go by the same mistake. */
const IS_PAST = 'passed.record_time > a.target_record_time';
/** The table refuses an attempt that lapsed by less than its target; without that wall the mistake shows. */
const WITHOUT_CHECK = {
  file: ATTEMPTS,
  find: 'lapsed_by = t.record_time',
  replace: 'lapsed_by = a.target_record_time + 1',
};
/** A participant that is honest would contradict it. */
const WITHOUT_WITNESS = {
  file: ATTEMPTS,
  find: '  needsWitness\n    ? sql',
  replace: '  needsWitness && false\n    ? sql',
};
const NOW = `\${nowMicros}`;
const UNRESERVED = `
  AND NOT EXISTS (
    SELECT FROM reservation
    WHERE reservation.treasury_id = holding.treasury_id AND reservation.contract_id = holding.contract_id AND reservation.is_open
  )`;
const RESERVE = 'AS input JOIN opened USING (submission_id)';
/** The database holds on to what the code forgets: without its constraint the mistake shows. */
const RESERVE_ANYWAY = `${RESERVE} ON CONFLICT DO NOTHING`;
const TROUBLE = 'await recordTrouble(db, attempt, { message: messageOf(error), nextTryAt: againAt });';
const GIVE_UP = `await giveUpUnsigned(db, purpose, attempt, { code: 'MUTANT', detail: messageOf(error) }, clock.nowMicros());`;
/** Here, too, the table would refuse it. */
const FORGOTTEN = {
  file: ATTEMPTS,
  find: `{ state: 'GIVEN_UP', closed_at: nowMicros }`,
  replace: `{ state: 'GIVEN_UP', closed_at: nowMicros, sign_requested_at: null }`,
};
const UNSIGNED_ONLY = `      .where('sign_requested_at', 'is', null)
`;

export const MONEY_MUTANTS: readonly Mutant[] = [
  {
    name: 'expiry-not-strict',
    mistake: 'A record time at the target is taken for one past it.',
    company: ['executeAtTarget'],
    changes: [
      { file: ATTEMPTS, find: CANDIDATES, replace: CANDIDATES.replace('>', '>=') },
      { file: ATTEMPTS, find: LAPSED, replace: LAPSED.replace('>', '>=') },
      { file: ATTEMPTS, find: IS_PAST, replace: IS_PAST.replace('>', '>=') },
      WITHOUT_WITNESS,
      WITHOUT_CHECK,
    ],
  },
  {
    name: 'wall-clock-decides-expiry',
    mistake: 'An attempt is over when our own clock says so.',
    company: ['executeLate'],
    changes: [
      { file: ATTEMPTS, find: CANDIDATES, replace: CANDIDATES.replace('t.record_time', NOW) },
      { file: ATTEMPTS, find: LAPSED, replace: LAPSED.replace('t.record_time', NOW) },
      WITHOUT_WITNESS,
      WITHOUT_CHECK,
    ],
  },
  {
    name: 'no-reservation-check',
    mistake: 'A holding is spent without a look at who has reserved it.',
    company: [],
    changes: [
      { file: 'withdrawals/free-holdings.ts', find: UNRESERVED, replace: '' },
      { file: OPENING, find: RESERVE, replace: RESERVE_ANYWAY },
    ],
  },
  {
    name: 'choose-then-reserve',
    mistake:
      'Holdings are chosen first and reserved later, one withdrawal at a time, with nothing that keeps two choosers apart.',
    company: [],
    changes: [
      { file: FUNDING, find: 'const FUND_BATCH_MAX = 50;', replace: 'const FUND_BATCH_MAX = 1;' },
      {
        file: FUNDING,
        find: `      .forNoKeyUpdate()
`,
        replace: '',
      },
      { file: OPENING, find: RESERVE, replace: RESERVE_ANYWAY },
    ],
  },
  {
    name: 'retry-with-other-inputs',
    mistake: 'Each try spends whatever is free at the time.',
    company: [],
    changes: [
      {
        file: ATTEMPTS,
        find: 't.transfer_object AS transfer,',
        replace: `jsonb_set(t.transfer_object, '{inputHoldingCids}', coalesce((
             SELECT jsonb_agg(h.contract_id) FROM (
               SELECT h.contract_id FROM holding h WHERE h.treasury_id = s.treasury_id AND h.instrument_id = s.instrument_id
                 AND h.archived_update_id IS NULL AND h.lock_holders IS NULL AND h.amount::numeric >= (t.transfer_object->>'amount')::numeric
               ORDER BY (hashtext(h.contract_id || t.next_try_at::text)) LIMIT 1) h), t.transfer_object->'inputHoldingCids')) AS transfer,`,
      },
      {
        file: ATTEMPTS,
        find: '  return rows.map(({ inputs, admin, instrumentName, ...row }) => ({',
        replace: `  for (const row of rows) {
    const known = await db.selectFrom('holding').select(['contract_id', 'amount']).where('contract_id', 'in', row.transfer.inputHoldingCids).execute();
    row.inputs = known.map(({ contract_id, amount }) => ({ contractId: contract_id, amount }));
  }
  return rows.map(({ inputs, admin, instrumentName, ...row }) => ({`,
      },
    ],
  },
  {
    name: 'retry-extends-deadline',
    mistake: 'A try gets as much time as the attempt got when it was opened.',
    company: [],
    changes: [
      {
        file: PLAN,
        find: 'maxRecordTime: attempt.target,\n  };',
        replace: 'maxRecordTime: attempt.target + 20_000_000n,\n  };',
      },
      {
        file: TRY,
        find: 'maxRecordTime: attempt.target,\n  });',
        replace: 'maxRecordTime: attempt.target + 20_000_000n,\n  });',
      },
    ],
  },
  {
    name: 'contract-not-found-is-failure',
    mistake: 'Inputs that are gone are taken for proof that the transfer can never happen; often it just has.',
    company: ['executeUnanswered'],
    changes: [
      {
        file: LOOP,
        find: TROUBLE,
        replace: `if (/NOT_FOUND|NOT_ACTIVE|INACTIVE/.test(messageOf(error))) ${GIVE_UP} else ${TROUBLE}`,
      },
      { file: ATTEMPTS, find: UNSIGNED_ONLY, replace: '' },
      FORGOTTEN,
    ],
  },
  {
    name: 'lost-answer-is-failure',
    mistake: 'No answer is taken for a no.',
    company: ['executeUnanswered'],
    changes: [
      {
        file: LOOP,
        find: TROUBLE,
        replace: `if (/^ExecuteSubmission: No connection/.test(messageOf(error))) ${GIVE_UP} else ${TROUBLE}`,
      },
      { file: ATTEMPTS, find: UNSIGNED_ONLY, replace: '' },
      FORGOTTEN,
    ],
  },
  {
    name: 'refusal-is-failure',
    mistake: 'What the participant refuses for good is taken for dead, and what it was given is free.',
    company: ['executeLies'],
    changes: [
      {
        file: LOOP,
        find: TROUBLE,
        replace: `if (/^ExecuteSubmission/.test(messageOf(error)) && !/No connection/.test(messageOf(error))) ${GIVE_UP} else ${TROUBLE}`,
      },
      { file: ATTEMPTS, find: UNSIGNED_ONLY, replace: '' },
      FORGOTTEN,
    ],
  },
  {
    name: 'target-in-milliseconds',
    mistake: 'Record times are compared in milliseconds.',
    company: ['executeAtTarget'],
    changes: [
      {
        file: ATTEMPTS,
        find: CANDIDATES,
        replace: CANDIDATES.replace('a.target_record_time', '(a.target_record_time / 1000 * 1000)'),
      },
      {
        file: ATTEMPTS,
        find: LAPSED,
        replace: LAPSED.replace('a.target_record_time', '(a.target_record_time / 1000 * 1000)'),
      },
      WITHOUT_WITNESS,
      WITHOUT_CHECK,
    ],
  },
  {
    name: 'cancelled-in-flight',
    mistake: 'Calling a withdrawal off ends it, whatever is under way.',
    company: ['operatorCancels'],
    changes: [
      {
        file: STATE,
        find: `      return NOTED;
    case 'PAYMENT_RECOVERED':`,
        replace: `      return moved('CANCELLED');
    case 'PAYMENT_RECOVERED':`,
      },
    ],
  },
  {
    name: 'offer-is-payment',
    mistake: 'An offer that stands counts as paid.',
    company: [],
    changes: [
      {
        file: SINK,
        find: `status === 'PENDING' ? 'OFFER_SEEN' : 'TRANSFER_SEEN' }`,
        replace: `status === 'PENDING' ? 'TRANSFER_SEEN' : 'TRANSFER_SEEN' }`,
      },
    ],
  },
  {
    name: 'return-booked-twice',
    mistake: 'What comes back with an offer is booked for the offer and again for the withdrawal.',
    company: [],
    changes: [
      {
        file: 'withdrawals/withdrawal-store.ts',
        find: 'await postEntries(tx, row.network_id, [entry]);',
        replace: `await postEntries(tx, row.network_id, [entry, ...(event.kind === 'OFFER_RETURNED' ? [{ ...entry, cause: entry.cause + ':again' }] : [])]);`,
      },
    ],
  },
  {
    name: 'halt-ignored',
    mistake: 'A halt is a note for people.',
    company: ['operatorHalts'],
    changes: [
      {
        file: 'submissions/halts.ts',
        find: 'EXISTS (SELECT FROM halt WHERE',
        replace: 'EXISTS (SELECT FROM halt WHERE false AND',
      },
      {
        file: 'submissions/free-check.ts',
        find: 'if (rows.length === 0) return null;',
        replace: 'if (!rows.some(({ isHalt }) => !isHalt)) return null;',
      },
    ],
  },
  {
    name: 'signed-before-written',
    mistake: 'That a signature was asked for is written down when it is there.',
    company: [],
    changes: [
      {
        file: TRY,
        find: '  const checked = checkIntent(intent, prepared, window);',
        replace: `  const checked = checkIntent(intent, prepared, window);
  await signer.sign({
    requestId: random.uuid(), submissionId: attempt.submissionId, attempt: attempt.number, earlierAttempts: view.earlier,
    inputsSpentElsewhere: view.inputsSpentElsewhere, intent, prepared, recordTime: view.recordTime,
  });`,
      },
    ],
  },
  {
    name: 'executed-before-counted',
    mistake: 'A try is counted when it has been made.',
    company: [],
    changes: [
      {
        file: TRY,
        find: 'if (!(await store.recordTry(attempt, nextTryAt))) {',
        replace: 'if (nextTryAt < 0n) {',
      },
    ],
  },
  {
    name: 'signature-unverified',
    mistake: 'Whatever a signer answers is sent.',
    company: ['signatureWrong'],
    changes: [
      { file: TRY, find: 'verifySignature(checked.hash, signature, [await signer.currentKey()]);', replace: '' },
    ],
  },
  {
    name: 'preparation-unchecked',
    mistake: 'What was prepared is taken for what was asked for.',
    company: ['prepareLies'],
    changes: [
      {
        file: 'custody/intent-check.ts',
        find: 'else demandTransfer(tree, { ...intent, implementation });',
        replace: '',
      },
    ],
  },
  {
    name: 'key-not-remembered',
    mistake: 'Each request is a withdrawal of its own, whatever its key.',
    company: [],
    changes: [
      {
        file: 'withdrawals/withdrawal-requests.ts',
        find: 'const id = withdrawalId(idKey, request.client, request.idempotencyKey);',
        replace: 'const id = withdrawalId(idKey, request.client, request.idempotencyKey + String(clock.nowMicros()));',
      },
    ],
  },
  {
    name: 'memo-is-proof',
    mistake: 'A payment that names a withdrawal is taken for its payment.',
    company: [],
    changes: [
      {
        file: SINK,
        find: `/** Inputs of \`payouts\` that`,
        replace: `async function namedBy(tx: Transaction, { transferId }: TransferChange): Promise<Ours | null> {
  const { rows } = await sql<{ id: string }>\`SELECT w.id FROM transfer t JOIN withdrawal w ON w.id = t.memo WHERE t.id = \${transferId}\`.execute(tx);
  const [row] = rows;
  return row === undefined ? null : { withdrawalId: row.id, attempt: { submissionId: '', number: 0 } };
}

/** Inputs of \`payouts\` that`,
      },
      {
        file: SINK,
        find: 'const known = paid ??',
        replace: 'const known = paid ?? (change.isNew ? await namedBy(tx, change) : null) ??',
      },
    ],
  },
];

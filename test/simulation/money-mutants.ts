/** Mistakes with withdrawals that would lose money: what somebody might think is safe, and is not. */
import type { Mutant } from './mutants.ts';

const ATTEMPTS = 'submissions/attempts.ts';
const FUNDING = 'withdrawals/attempt-funding.ts';
const OPENING = 'submissions/attempt-opening.ts';
const TRY = 'submissions/attempt-try.ts';
const PLAN = 'withdrawals/transfer-plan.ts';
const LOOP = 'submissions/attempt-loop.ts';

/** Where attempts lapse: first those to lock are looked for, then they are ended. */
const CANDIDATES = `t.record_time > a.target_record_time
        AND NOT`;
const LAPSED = 't.record_time > a.target_record_time AND NOT';
/** The table refuses an attempt that lapsed by less than its target; without that wall the mistake shows. */
const WITHOUT_CHECK = {
  file: ATTEMPTS,
  find: 'lapsed_by = t.record_time',
  replace: 'lapsed_by = a.target_record_time + 1',
};
const NOW = `\${nowMicros}`;
const UNRESERVED = `
  AND NOT EXISTS (
    SELECT FROM reservation
    WHERE reservation.treasury_id = holding.treasury_id AND reservation.contract_id = holding.contract_id AND reservation.is_open
  )`;
const RESERVE = `        is_open: true,
      })),
    )
    .execute();`;
/** The database holds on to what the code forgets: without its constraint the mistake shows. */
const RESERVE_ANYWAY = RESERVE.replace('.execute()', '.onConflict((conflict) => conflict.doNothing()).execute()');
const TROUBLE = 'await recordTrouble(db, attempt, { message: messageOf(error), nextTryAt });';
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
    mistake: 'Holdings are chosen first and reserved later, with nothing that keeps two choosers apart.',
    company: [],
    changes: [
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
];

/** Mistakes of the service around the money: who sees what, what is kept of it, who works on what. */
import type { DirectMistake } from './direct-mistake.ts';

const SEQUENCER = 'db/event-sequencer.ts';

export const SERVICE_MISTAKES: readonly DirectMistake[] = [
  {
    name: 'no-wall-around-withdrawals',
    mistake: 'Whoever lists withdrawals filters by the account of the question.',
    changes: [
      {
        file: 'read/withdrawals.ts',
        find: 'withinReach(reach, sql`withdrawal.account_id`)',
        replace: 'reach.kind !== undefined',
      },
    ],
    killer: { file: 'test/auth/other-tenants.test.ts', test: 'Z25' },
  },
  {
    name: 'token-signature-unchecked',
    mistake: 'A token whose claims are right is right.',
    changes: [{ file: 'auth/tokens.ts', find: "return refuse('signature');", replace: "refuse('signature');" }],
    killer: { file: 'test/auth/forged-tokens.test.ts', test: 'Z24' },
  },
  {
    name: 'halt-left-out-of-the-audit',
    mistake: 'A kill switch is its own record.',
    changes: [],
    database: 'ALTER TABLE halt DISABLE TRIGGER audited',
    killer: { file: 'test/api/audit.test.ts', test: 'a kill switch has an entry' },
  },
  {
    name: 'audit-without-who',
    mistake: 'The database knows who changed what.',
    changes: [
      {
        file: 'schema/audited-mutations.ts',
        find: 'principal: context.principal.name,',
        replace: "principal: 'sluice',",
      },
    ],
    killer: { file: 'test/api/audit.test.ts', test: 'a request and its cancellation' },
  },
  {
    name: 'replica-read-as-it-is',
    mistake: 'A replica is a moment behind at most: nobody need wait for what he just wrote.',
    changes: [
      {
        file: 'server/caught-up.ts',
        find: 'if (isOurs && (view.isStandby || !isLast)) return false;',
        replace: 'if (isOurs) return true;',
      },
    ],
    killer: { file: 'test/api/freshness.test.ts', test: '@atLeast lets a query wait' },
  },
  {
    name: 'sequencer-unlocked',
    mistake: 'Nothing keeps two sequencers apart.',
    changes: [
      {
        file: SEQUENCER,
        find: 'if (lock.rows[0]?.isMine !== true) return { taken: 0, numbered: 0 };',
        replace: '',
      },
      {
        file: SEQUENCER,
        find: 'await sql`SELECT last_position FROM event_log FOR UPDATE`.execute(tx);',
        replace: '',
      },
      {
        file: SEQUENCER,
        find: `      DELETE FROM event_outbox
      WHERE seq = ANY (ARRAY(SELECT seq FROM event_outbox ORDER BY seq LIMIT \${BATCH_SIZE_MAX}::int))
      RETURNING`,
        replace: `      DELETE FROM event_outbox
      WHERE seq = ANY (ARRAY(SELECT seq FROM event_outbox ORDER BY seq LIMIT \${BATCH_SIZE_MAX}::int FOR UPDATE SKIP LOCKED))
      RETURNING`,
      },
    ],
    killer: { file: 'test/events/sequencer.test.ts', test: 'while somebody numbers, everybody else leaves it to him' },
  },
  {
    name: 'events-numbered-by-sequence',
    mistake: 'Events keep the number that the outbox gave them before commit.',
    changes: [
      { file: SEQUENCER, find: 'SELECT last_position + line, event_id,', replace: 'SELECT seq, event_id,' },
      { file: SEQUENCER, find: 'SELECT *, row_number() OVER (ORDER BY seq) AS line', replace: 'SELECT *' },
    ],
    killer: { file: 'test/events/sequencer.test.ts', test: 'a rolled back append' },
  },
  {
    name: 'hints-believed',
    mistake: 'A notification is believed never to get lost.',
    changes: [{ file: SEQUENCER, find: 'const POLL_MS = 250;', replace: 'const POLL_MS = 3_600_000;' }],
    killer: { file: 'test/events/sequencer.test.ts', test: 'C9: what no notification told of' },
  },
  {
    name: 'lease-without-a-new-token',
    mistake: 'Whoever takes a lease over is the same kind of holder.',
    changes: [{ file: 'db/lease.ts', find: 'lease.token + 1', replace: 'lease.token' }],
    killer: { file: 'test/db/lease.test.ts', test: 'taken with a greater token' },
  },
  {
    name: 'post-transfer-body-not-compared',
    mistake: 'The same key is the same post transfer.',
    changes: [
      {
        file: 'books/post-transfers.ts',
        find: 'if (!hashOf(request).equals(',
        replace: 'if (hashOf(request).length === 0 && !hashOf(request).equals(',
      },
    ],
    killer: { file: 'test/books/post-transfers.test.ts', test: 'with anything else is refused' },
  },
  {
    name: 'balance-wall-missing',
    mistake: 'Whoever posts has looked at the balance before.',
    changes: [],
    database: 'ALTER TABLE customer_balance DROP CONSTRAINT customer_balance_covers',
    killer: { file: 'test/books/customer-balances.test.ts', test: 'what a customer has not cannot be booked' },
  },
  {
    name: 'balance-of-a-moment-ago',
    mistake: 'What the balance was when the request came in is good enough.',
    changes: [
      { file: 'books/customer-funds.ts', find: 'return has >= gives ? [] :', replace: 'return has >= 0n ? [] :' },
    ],
    killer: { file: 'test/books/withdrawals-of-customers.test.ts', test: 'not one more' },
  },
];

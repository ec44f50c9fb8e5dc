/** A signer that is away for days: attempts go by, each of which may have been signed, and the withdrawal is paid when the signer is back. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EARLIER_ATTEMPTS_MAX } from '../../src/custody/signer.ts';
import { viewsOf } from '../../src/submissions/attempt-view.ts';
import { type OpenAttempt, takeDueAttempts } from '../../src/submissions/attempts.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { WITHDRAWALS } from '../../src/withdrawals/attempts.ts';
import { DEFAULT_LIMITS } from '../../src/withdrawals/automation.ts';
import { DAY } from '../support/rows.ts';
import { startWithdrawalApi, type WithdrawalApi } from '../support/withdrawal-api.ts';

const LIMITS = { ...DEFAULT_LIMITS, ttlMs: 60_000, attemptsMax: 2 };

let api: WithdrawalApi;

beforeEach(async () => {
  api = await startWithdrawalApi();
  await api.rows.stream({ status: 'RUNNING' }, DAY);
});

afterEach(async () => await api.close());

async function nextAttempt(): Promise<OpenAttempt> {
  const { db } = api.database;
  expect(await openAttempts(db, api.treasury, LIMITS, DAY)).toBe(1);
  const [attempt] = await takeDueAttempts(db, WITHDRAWALS, api.treasury, LIMITS, { nowMicros: DAY, countMax: 1 });
  if (attempt === undefined) throw new Error('No attempt is due.');
  return attempt;
}

/** The open attempt lapses unanswered, and so do `count` more of it. */
async function lapse(count: number): Promise<void> {
  const { db } = api.database;
  await sql`
    UPDATE attempt SET state = 'LAPSED', sign_requested_at = opened_at, sign_requests = 1, closed_at = opened_at, lapsed_by = target_record_time + 1
    WHERE state = 'OPEN'`.execute(db);
  await sql`
    INSERT INTO attempt
    SELECT (jsonb_populate_record(a, jsonb_build_object('number', n + 1))).* FROM attempt a, generate_series(1, ${count}::int) AS n`.execute(
    db,
  );
  await sql`
    INSERT INTO reservation (submission_id, number, treasury_id, contract_id, is_open)
    SELECT submission_id, n + 1, treasury_id, contract_id, false FROM reservation, generate_series(1, ${count}::int) AS n`.execute(
    db,
  );
  await sql`UPDATE reservation SET is_open = false`.execute(db);
  await sql`UPDATE withdrawal SET state = 'QUEUED'`.execute(db);
}

test('a thousand attempts of the same inputs are one to the signer', async () => {
  for (const name of ['one', 'two', 'three']) await api.rows.holding(name, '5');
  await api.idOf('outage', { amount: '15' });
  await nextAttempt();
  await lapse(EARLIER_ATTEMPTS_MAX);

  const attempt = await nextAttempt();

  expect(attempt.number).toBe(EARLIER_ATTEMPTS_MAX + 2);
  const [view] = await viewsOf(api.database.db, [attempt]);
  expect(view).toMatchObject({
    earlier: [{ attempt: EARLIER_ATTEMPTS_MAX + 1, inputs: ['one', 'three', 'two'] }],
    inputsSpentElsewhere: [],
  });
});

test('of attempts that all differ the signer is told of as many as it hears, the newest, and of every input that is gone', async () => {
  const { db } = api.database;
  await api.rows.holding('kept', '5');
  await api.idOf('outage', { amount: '5' });
  await nextAttempt();
  await lapse(EARLIER_ATTEMPTS_MAX + 10);
  await api.rows.holding('gone', '1', { isArchived: true });
  await sql`
    INSERT INTO reservation (submission_id, number, treasury_id, contract_id, is_open)
    SELECT submission_id, number, treasury_id, CASE number WHEN 1 THEN 'gone' ELSE 'other-' || number END, false FROM reservation`.execute(
    db,
  );

  const attempt = await nextAttempt();

  const [view] = await viewsOf(db, [attempt]);
  if (view === undefined || view instanceof Error) throw new Error('No view.');
  expect(view.earlier).toHaveLength(EARLIER_ATTEMPTS_MAX);
  expect(view.earlier.at(-1)).toEqual({
    attempt: EARLIER_ATTEMPTS_MAX + 11,
    inputs: ['kept', `other-${EARLIER_ATTEMPTS_MAX + 11}`],
  });
  expect(view.inputsSpentElsewhere).toEqual(['gone']);
});

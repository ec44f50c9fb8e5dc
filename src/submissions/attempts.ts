/**
 * Attempts and reservations: what may be in flight. Each function is one transaction or one statement; none believes anything a participant, registry or signer said.
 *
 *   open      inputs reserved, target record time fixed; nothing is signed.
 *   signing   `sign_requested_at` is set before the signer is called, and the hash is stored with it: from here on only the ledger ends the attempt.
 *   settled   ingestion saw its transaction (in the transaction that moves the position).
 *   lapsed    ingestion saw a record time of its synchronizer strictly past its target; Canton lets it commit at exactly the target.
 *   given up  only while no signature was ever asked for: compare-and-set on `sign_requested_at`.
 */
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import { type Micros, millisToMicros } from '../env/clock.ts';
import { isInDoubt } from '../ingestion/freezes.ts';
import { SNAPSHOT_PREFIX } from '../ingestion/known-updates.ts';
import { type Amount, parseAmount } from '../tokens/amount.ts';
import type { Instrument, TransferJson } from '../tokens/transfer-record.ts';
import { isHalted } from './halts.ts';
import { eachIfNotAll, type OnRefused, throwRefused } from './isolated.ts';
import type { DeadAttempt, Failure, Purpose } from './submission-purpose.ts';

export type AttemptLimits = {
  /** How long after the last ingested record time an attempt may commit. */
  readonly ttlMs: number;
  /** When the last record time is older than this no attempt is opened: its end could not be decided. */
  readonly recordTimeAgeMsMax: number;
  /** Nor when it is further ahead of our clock than this: after a restore of the database only our clock could tell until when an attempt that is lost may commit. */
  readonly recordTimeAheadMsMax: number;
  /** Attempts per submission, those that were given up and those that no signer answered not counted; after the last one lapses it is over. */
  readonly attemptsMax: number;
  /** Tries (prepare to execute) per attempt; then it waits for its end. */
  readonly triesMax: number;
  /** How long a try keeps others from trying the same attempt. A crashed one's attempt is tried again after it. */
  readonly tryHoldMs: number;
};

/** A contract that an attempt consumes, with the amount it stands for: two attempts with one in common cannot both commit. */
export type AttemptInput = { readonly contractId: string; readonly amount: Amount };

export type OpenAttempt = {
  readonly submissionId: string;
  readonly number: number;
  /** Whom it serves: of a withdrawal its id. */
  readonly subjectId: string;
  readonly treasuryParty: string;
  readonly instrument: Instrument;
  readonly synchronizerId: string;
  readonly target: Micros;
  readonly transfer: TransferJson;
  readonly inputs: readonly AttemptInput[];
  readonly isSignatureRequested: boolean;
  readonly tries: number;
  /** Of the request that it all began with; null or left out: none is known. */
  readonly requestId?: string | null;
};

/**
 * Over an attempt `a` of a submission `s`: ingestion has seen the ledger pass its last record time. Strictly: at exactly that time it may still commit.
 */
export const IS_PAST = sql<boolean>`EXISTS (
  SELECT FROM synchronizer_time passed
  WHERE passed.treasury_id = s.treasury_id AND passed.synchronizer_id = a.synchronizer_id AND passed.record_time > a.target_record_time
)`;

/** Clocks that are right are not further apart. */
const AHEAD_MS_MAX = 10_000;

/** Over an attempt `a`: somebody has taken it since `gapMs` ago. Not where his clock was ahead: nobody would take it again until all clocks have come as far. */
export const isJustTaken = (nowMicros: Micros, gapMs: number) =>
  sql<boolean>`coalesce(a.taken_at > ${nowMicros - millisToMicros(gapMs)}::bigint AND a.taken_at <= ${nowMicros + millisToMicros(AHEAD_MS_MAX)}::bigint, false)`;

/** @returns whether any attempt of the purpose is open: while none is, nothing can lapse, break, be tried, or be given back. For loops that mostly find nothing: one cheap question instead of each of theirs. */
export async function hasOpenAttempts(db: Database, purpose: Purpose, treasuryId: number): Promise<boolean> {
  const { rows } = await sql<{ isAny: boolean }>`
    SELECT EXISTS (
      SELECT FROM attempt a JOIN submission s ON s.id = a.submission_id
      WHERE a.state = 'OPEN' AND s.treasury_id = ${treasuryId} AND s.purpose = ${purpose.name}
    ) AS "isAny"`.execute(db);
  return rows[0]?.isAny === true;
}

/**
 * Takes attempts that are due for a try and puts their next turn off, so that others leave them alone meanwhile. Two tries at once would be harmless, only wasteful. What may not be signed is left where it
 * is, with its turn: it is due at once when it may. So is what the ledger has passed: it would be refused there.
 */
export async function takeDueAttempts(
  db: Database,
  purpose: Purpose,
  treasuryId: number,
  limits: AttemptLimits,
  { nowMicros, countMax }: { readonly nowMicros: Micros; readonly countMax: number },
): Promise<readonly OpenAttempt[]> {
  const { rows } = await sql<
    Omit<OpenAttempt, 'inputs' | 'instrument'> & {
      inputs: { contractId: string; amount: string }[];
      admin: string;
      instrumentName: string;
    }
  >`
    WITH due AS (
      SELECT a.submission_id, a.number FROM attempt a JOIN submission s ON s.id = a.submission_id
      WHERE a.state = 'OPEN' AND a.next_try_at <= ${nowMicros} AND a.tries < ${limits.triesMax} AND s.treasury_id = ${treasuryId}
        AND s.purpose = ${purpose.name} AND ${purpose.mayBeSigned} AND NOT ${isHalted(sql`s.treasury_id`, sql`s.instrument_id`)}
        AND NOT ${IS_PAST}
      ORDER BY a.next_try_at, a.submission_id LIMIT ${countMax} FOR UPDATE OF a SKIP LOCKED
    ), taken AS (
      UPDATE attempt a SET taken_at = ${nowMicros}, next_try_at = ${nowMicros + millisToMicros(limits.tryHoldMs)} FROM due
      WHERE a.submission_id = due.submission_id AND a.number = due.number
      RETURNING a.*
    )
    SELECT t.submission_id AS "submissionId", t.number, ${purpose.subject} AS "subjectId", p.party AS "treasuryParty",
           i.admin, i.instrument_id AS "instrumentName", t.synchronizer_id AS "synchronizerId", t.target_record_time AS target,
           t.transfer_object AS transfer, t.sign_requested_at IS NOT NULL AS "isSignatureRequested", t.tries::int AS tries,
           (SELECT w.request_id FROM withdrawal w WHERE w.id = s.withdrawal_id) AS "requestId",
           ${purpose.inputs} AS inputs
    FROM taken t
    JOIN submission s ON s.id = t.submission_id
    JOIN treasury_party p ON p.id = s.treasury_id
    JOIN instrument i ON i.id = s.instrument_id
    ORDER BY t.opened_at, t.submission_id`.execute(db);
  return rows.map(({ inputs, admin, instrumentName, ...row }) => ({
    ...row,
    instrument: { admin, id: instrumentName },
    inputs: inputs.map(({ contractId, amount }): AttemptInput => ({ contractId, amount: parseAmount(amount) })),
  }));
}

/** Notes why a try came to nothing, for people. It never ends the attempt. */
export async function recordTrouble(
  db: Database,
  { submissionId, number }: OpenAttempt,
  { message, nextTryAt }: { readonly message: string; readonly nextTryAt: Micros },
): Promise<void> {
  // Whoever has it locked is about to end it: nothing is worth waiting for.
  await sql`
    UPDATE attempt a SET last_error = ${message}, next_try_at = ${nextTryAt}
    FROM (
      SELECT submission_id, number FROM attempt WHERE submission_id = ${submissionId} AND number = ${number} AND state = 'OPEN' FOR UPDATE SKIP LOCKED
    ) it
    WHERE a.submission_id = it.submission_id AND a.number = it.number`.execute(db);
}

/**
 * Gives an attempt up for which no signature was ever asked: what it was given is free, and whom it served is told.
 * @returns false where a signature may exist: then only the ledger can end it; and where somebody else works on whom it served.
 */
export async function giveUpUnsigned(
  db: Database,
  purpose: Purpose,
  { submissionId, number, subjectId }: Pick<OpenAttempt, 'submissionId' | 'number' | 'subjectId'>,
  failure: Failure,
  nowMicros: Micros,
): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    // Somebody else works on it, and locks its attempt after it as we would: he knows more, and we try again.
    if ((await purpose.lockSubjects(tx, [subjectId])).length === 0) return false;
    const ended = await tx
      .updateTable('attempt')
      .set({ state: 'GIVEN_UP', closed_at: nowMicros })
      .where('submission_id', '=', submissionId)
      .where('number', '=', number)
      .where('state', '=', 'OPEN')
      .where('sign_requested_at', 'is', null)
      .executeTakeFirst();
    if (ended.numUpdatedRows !== 1n) return false;
    await releaseReservations(tx, submissionId, number);
    await purpose.attemptDead(tx, subjectId, { kind: 'GIVEN_UP', failure }, nowMicros);
    return true;
  });
}

/**
 * Over an attempt `a`: it may have been signed, and an input of it went in a way that nobody could read, behind a gap of history or in an update that is still in quarantine; or all of them went at once in an
 * update that could be read and not be explained. That may have been this very transfer: the record time proves nothing, however far it is, and whatever freeze was lifted.
 */
export const MAY_HAVE_PAID = sql<boolean>`(a.sign_requested_at IS NOT NULL AND (
  EXISTS (
    SELECT FROM reservation r JOIN holding h ON h.treasury_id = r.treasury_id AND h.contract_id = r.contract_id
    WHERE r.submission_id = a.submission_id AND r.number = a.number AND h.archived_update_id IS NOT NULL
      AND (starts_with(h.archived_update_id, ${sql.lit(SNAPSHOT_PREFIX)})
        OR EXISTS (SELECT FROM quarantine q WHERE q.treasury_id = h.treasury_id AND q.update_id = h.archived_update_id AND q.closed_at IS NULL))
  ) OR EXISTS (
    SELECT FROM reservation r LEFT JOIN holding h ON h.treasury_id = r.treasury_id AND h.contract_id = r.contract_id
    WHERE r.submission_id = a.submission_id AND r.number = a.number
    HAVING count(*) = count(h.archived_update_id) AND count(DISTINCT h.archived_update_id) = 1 AND EXISTS (
      SELECT FROM transfer x
      WHERE x.treasury_id = min(h.treasury_id) AND x.update_id = min(h.archived_update_id) AND x.kind = 'UNEXPLAINED' AND x.direction = 'OUT'
    )
  )
))`;

/** Over an attempt `a`: {@link MAY_HAVE_PAID}, where anybody would lose by it. A transfer to ourselves that was wrongly taken for dead moved our own money to ourselves, and what it took nobody can take again. */
const staysUndecided = ({ needsWitness }: Purpose) => (needsWitness ? MAY_HAVE_PAID : sql<boolean>`false`);

/** Over an attempt `a`: an input of it went elsewhere, in an update that was read. What is spent can be spent by nobody else. */
const IS_OUTSPENT = sql<boolean>`EXISTS (
  SELECT FROM reservation r JOIN holding h ON h.treasury_id = r.treasury_id AND h.contract_id = r.contract_id
  WHERE r.submission_id = a.submission_id AND r.number = a.number AND h.archived_update_id IS NOT NULL
)`;

/**
 * Over an attempt `a`: it was never signed, an input of it is known to have gone elsewhere, or the participant still had one of them active when the ledger was past its target (`input-witness.ts`). A node
 * that hid our transaction from the stream, or lost the right to see it, does not say so of its active contracts.
 */
export const isWitnessed = ({ needsWitness }: Purpose) =>
  needsWitness
    ? sql<boolean>`(a.sign_requested_at IS NULL OR a.inputs_active_offset IS NOT NULL OR ${IS_OUTSPENT})`
    : sql<boolean>`true`;

/**
 * Ends every attempt of the treasury that is proven dead. The proof and the end are one statement: it joins the record time that ingestion committed and changes only attempts that are still open, so an
 * attempt whose transaction ingestion has just seen is either settled already (and no longer open) or not yet passed. Not seen is not proven while something was seen that nobody could read, or is
 * known to be missing: then attempts wait for the freeze to be lifted, and those whose inputs went with it wait on. Where the purpose wants a witness, they wait for him as well.
 * @param onRefused what to do where one cannot be ended; the others are. Default: throw.
 * @returns how many lapsed.
 */
export async function lapseAttempts(
  db: Database,
  purpose: Purpose,
  treasuryId: number,
  limits: AttemptLimits,
  nowMicros: Micros,
  onRefused: OnRefused = throwRefused,
): Promise<number> {
  const candidates = await sql<{ subjectId: string }>`
      SELECT ${purpose.subject} AS "subjectId" FROM attempt a JOIN submission s ON s.id = a.submission_id
      JOIN synchronizer_time t ON t.treasury_id = s.treasury_id AND t.synchronizer_id = a.synchronizer_id
      WHERE a.state = 'OPEN' AND s.treasury_id = ${treasuryId} AND s.purpose = ${purpose.name} AND t.record_time > a.target_record_time
        AND NOT ${isInDoubt(sql`s.treasury_id`, sql`s.instrument_id`)} AND NOT ${staysUndecided(purpose)} AND ${isWitnessed(purpose)}`.execute(
    db,
  );
  if (candidates.rows.length === 0) return 0;
  const lapse = async (some: readonly string[]): Promise<number> =>
    await db.transaction().execute(async (tx) => await lapseOf(tx, some, { purpose, treasuryId, limits, nowMicros }));
  const subjectIds = candidates.rows.map(({ subjectId }) => subjectId);
  return await eachIfNotAll(subjectIds, lapse, onRefused);
}

/** Over an attempt `one`: a signature was asked for, and nobody gave or refused it, or it was not let go. That says nothing of what was to be done, so however long a signer is away, nothing fails of it. */
const WAS_NOT_ANSWERED = sql<boolean>`(one.sign_requested_at IS NOT NULL AND one.tries = 0 AND one.sign_refusals = 0)`;

async function lapseOf(
  tx: Transaction,
  subjectIds: readonly string[],
  options: {
    readonly purpose: Purpose;
    readonly treasuryId: number;
    readonly limits: AttemptLimits;
    readonly nowMicros: Micros;
  },
): Promise<number> {
  const { purpose, treasuryId, limits, nowMicros } = options;
  // Those served before attempts, as the sink that settles locks them.
  const ids = await purpose.lockSubjects(tx, subjectIds);

  const { rows } = await sql<{
    submissionId: string;
    number: number;
    subjectId: string;
    isTried: boolean;
    count: number;
    lapsedBy: bigint;
    target: bigint;
    lastError: string | null;
  }>`
      UPDATE attempt a SET state = 'LAPSED', closed_at = ${nowMicros}, lapsed_by = t.record_time
      FROM submission s, synchronizer_time t
      WHERE a.state = 'OPEN' AND s.id = a.submission_id AND s.treasury_id = ${treasuryId} AND s.purpose = ${purpose.name}
        AND ${purpose.subject} = ANY (${ids}::text[])
        AND t.treasury_id = s.treasury_id AND t.synchronizer_id = a.synchronizer_id
        AND t.record_time > a.target_record_time AND NOT ${isInDoubt(sql`s.treasury_id`, sql`s.instrument_id`)}
        AND NOT ${staysUndecided(purpose)} AND ${isWitnessed(purpose)}
      RETURNING a.submission_id AS "submissionId", a.number, ${purpose.subject} AS "subjectId", a.tries > 0 AS "isTried",
                (SELECT count(*) FROM attempt one WHERE one.submission_id = a.submission_id AND one.state <> 'GIVEN_UP' AND NOT ${WAS_NOT_ANSWERED})::int AS count,
                t.record_time AS "lapsedBy", a.target_record_time AS target, a.last_error AS "lastError"`.execute(tx);
  for (const { submissionId, subjectId, count, ...facts } of rows) {
    await releaseReservations(tx, submissionId, facts.number);
    const dead: DeadAttempt = { kind: 'LAPSED', isLast: count >= limits.attemptsMax, ...facts };
    await purpose.attemptDead(tx, subjectId, dead, nowMicros);
  }
  return rows.length;
}

/**
 * Ends an attempt that nobody can read, on the word of people that it did not happen, and only where the ledger cannot commit it any more. What it was given is free.
 * @returns whether it was ended.
 */
export async function endByWord(
  tx: Transaction,
  { submissionId, number }: { readonly submissionId: string; readonly number: number },
  nowMicros: Micros,
): Promise<boolean> {
  const ended = await sql`
    UPDATE attempt a SET state = 'LAPSED', closed_at = ${nowMicros}, lapsed_by = passed.record_time
    FROM submission s, synchronizer_time passed
    WHERE a.submission_id = ${submissionId} AND a.number = ${number} AND a.state = 'OPEN' AND s.id = a.submission_id
      AND passed.treasury_id = s.treasury_id AND passed.synchronizer_id = a.synchronizer_id AND a.target_record_time < passed.record_time`.execute(
    tx,
  );
  if (ended.numAffectedRows === 1n) await releaseReservations(tx, submissionId, number);
  return ended.numAffectedRows === 1n;
}

/** Ends attempts, as far as they are still open, because ingestion saw what became of what they were to consume. One statement; for the transaction that moves the position, which has those served locked. */
export async function settleAttempts(
  tx: Transaction,
  attempts: readonly { readonly submissionId: string; readonly number: number }[],
  nowMicros: Micros,
): Promise<void> {
  if (attempts.length === 0) return;
  await sql`
    WITH seen AS MATERIALIZED (
      SELECT * FROM unnest(${attempts.map(({ submissionId }) => submissionId)}::text[], ${attempts.map(({ number }) => number)}::int[])
        AS seen (submission_id, number)
    ), settled AS (
      UPDATE attempt a SET state = 'SETTLED', closed_at = ${nowMicros} FROM seen
      WHERE a.submission_id = seen.submission_id AND a.number = seen.number AND a.state = 'OPEN'
    )
    UPDATE reservation r SET is_open = false FROM seen WHERE r.submission_id = seen.submission_id AND r.number = seen.number`.execute(
    tx,
  );
}

/** As {@link settleAttempts}, for one. */
export async function settleAttempt(
  tx: Transaction,
  attempt: { readonly submissionId: string; readonly number: number },
  nowMicros: Micros,
): Promise<void> {
  await settleAttempts(tx, [attempt], nowMicros);
}

/** Gives back what an attempt was given. For the transaction that ends it. */
export async function releaseReservations(tx: Transaction, submissionId: string, number: number): Promise<void> {
  await tx
    .updateTable('reservation')
    .set({ is_open: false })
    .where('submission_id', '=', submissionId)
    .where('number', '=', number)
    .execute();
}

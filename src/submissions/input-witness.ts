/**
 * A second witness for the death of an attempt. That ingestion passed its target without seeing it is the proof; but a participant that hid the update, or lost the right to show it, makes a proof of nothing.
 * So before an attempt that may have been signed lapses, the participant has to have one of its inputs active, at an offset at or past the position that proves: what we signed spends all of them, so it
 * has not happened. Where it has none of them active, nothing lapses, and the reason is shown.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Clock, Micros } from '../env/clock.ts';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import { isInDoubt } from '../ingestion/freezes.ts';
import { unlessSilent } from '../ingestion/silence.ts';
import { updateFormatFor } from '../ingestion/update-format.ts';
import type { Ledger } from '../ledger/ledger-client.ts';
import { IS_PAST, isJustTaken, isWitnessed, MAY_HAVE_PAID } from './attempts.ts';
import type { Purpose } from './submission-purpose.ts';

/** Of a participant that hosts the treasury party: best the one that ingestion reads from. */
export type WitnessLedger = Pick<Ledger, 'participantId' | 'ledgerEnd' | 'activeContracts'>;

export type WitnessOptions = {
  readonly db: Database;
  readonly purpose: Purpose;
  readonly treasuryId: number;
  readonly ledger: WitnessLedger;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
};

const ASK_AGAIN_MS = 2_000; // An answer costs the participant a reading of the treasury's contracts.
const ASKED_MAX = 200; // Attempts per reading.
const SILENCE_MS_MAX = 20_000; // A contract set comes without pause.

/** Asks for those attempts that would lapse now if it were for the record time alone. @returns for how many the participant had an input active. @throws as the database does. */
export async function witnessInputs(options: WitnessOptions): Promise<number> {
  const { db, logger, signal } = options;
  const asked = await takeUnwitnessed(options);
  if (asked.length === 0) return 0;
  let seen: Seen;
  try {
    seen = await lookFor(asked, options);
  } catch (error) {
    if (signal.aborted) return 0;
    const why = `It is past its target, and the participant could not be asked whether its inputs are still there: ${messageOf(error)}`;
    await note(db, asked, why);
    return 0;
  }
  const alive = asked.filter((one) => seen.isPast(one) && one.inputs.some((contractId) => seen.active.has(contractId)));
  await sql`
    UPDATE attempt a SET inputs_active_offset = ${seen.offset}
    FROM unnest(${alive.map(({ submissionId }) => submissionId)}::text[], ${alive.map((one) => one.number)}::int[]) AS alive (submission_id, number)
    WHERE a.submission_id = alive.submission_id AND a.number = alive.number AND a.state = 'OPEN'`.execute(db);
  const late = asked.filter((one) => !seen.isPast(one));
  await note(db, late, 'It is past its target, and the participant that was asked has not come that far.');
  const gone = asked.filter((one) => seen.isPast(one) && !alive.includes(one));
  await note(
    db,
    gone,
    `It is past its target and was not seen, but at offset ${seen.offset} the participant has none of its inputs active: it may have been committed unseen.`,
  );
  for (const { submissionId, number } of gone) {
    logger.error('An attempt that was not seen has no input left at the participant: it does not lapse.', {
      submissionId,
      attempt: number,
      offset: seen.offset,
    });
  }
  return alive.length;
}

type Asked = {
  readonly submissionId: string;
  readonly number: number;
  readonly inputs: readonly string[];
  readonly party: string;
  readonly synchronizerId: string;
  readonly target: Micros;
  /** Whose offset the position is. */
  readonly participantId: string | null;
  readonly position: bigint;
};

/** Their turn is put off in the same statement, so that others leave them alone meanwhile; the position is read in it, so that it is one that proves. */
async function takeUnwitnessed({ db, purpose, treasuryId, clock }: WitnessOptions): Promise<readonly Asked[]> {
  const nowMicros = clock.nowMicros();
  const { rows } = await sql<Asked>`
    WITH asked AS (
      SELECT a.submission_id, a.number FROM attempt a JOIN submission s ON s.id = a.submission_id
      WHERE a.state = 'OPEN' AND s.treasury_id = ${treasuryId} AND s.purpose = ${purpose.name} AND NOT ${isWitnessed(purpose)}
        AND ${IS_PAST} AND NOT ${isInDoubt(sql`s.treasury_id`, sql`s.instrument_id`)} AND NOT ${MAY_HAVE_PAID}
        AND NOT ${isJustTaken(nowMicros, ASK_AGAIN_MS)}
      ORDER BY a.opened_at, a.submission_id LIMIT ${ASKED_MAX} FOR UPDATE OF a SKIP LOCKED
    ), taken AS (
      UPDATE attempt a SET taken_at = ${nowMicros} FROM asked WHERE a.submission_id = asked.submission_id AND a.number = asked.number
      RETURNING a.*
    )
    SELECT t.submission_id AS "submissionId", t.number::int AS number, p.party, t.synchronizer_id AS "synchronizerId", t.target_record_time AS target,
      stream.participant_id AS "participantId", stream.ledger_offset AS position,
      ARRAY(SELECT r.contract_id FROM reservation r WHERE r.submission_id = t.submission_id AND r.number = t.number ORDER BY 1) AS inputs
    FROM taken t JOIN submission s ON s.id = t.submission_id JOIN treasury_party p ON p.id = s.treasury_id
    JOIN ingestion_stream stream ON stream.treasury_id = s.treasury_id`.execute(db);
  return rows;
}

type Seen = { readonly offset: bigint; readonly active: ReadonlySet<string>; isPast(asked: Asked): boolean };

async function lookFor(asked: readonly Asked[], { ledger, clock, signal }: WitnessOptions): Promise<Seen> {
  const [first] = asked;
  const participantId = await ledger.participantId(first?.participantId ?? null);
  const { offset, recordTimes } = await ledger.ledgerEnd();
  const active = new Set<string>();
  const isPast = (one: Asked): boolean =>
    participantId === one.participantId
      ? offset >= one.position
      : // Another participant's offsets say nothing; the record time it has reached does, where it tells.
        (recordTimes.get(one.synchronizerId) ?? 0n) > one.target;
  const open = asked.filter(isPast);
  const format = updateFormatFor(first?.party ?? '').includeTransactions?.eventFormat;
  if (open.length > 0 && format !== undefined) {
    const wanted = new Set(open.flatMap(({ inputs }) => inputs));
    const contracts = unlessSilent((reading) => ledger.activeContracts({ atOffset: offset, format, signal: reading }), {
      clock,
      signal,
      silenceMsMax: SILENCE_MS_MAX,
    });
    for await (const { kind, createdEvent } of contracts) {
      if (kind !== 'ACTIVE' || !wanted.has(createdEvent.contractId)) continue;
      active.add(createdEvent.contractId);
      if (open.every(({ inputs }) => inputs.some((contractId) => active.has(contractId)))) break;
    }
  }
  return { offset, active, isPast };
}

/** For people: why an attempt that is over by the clock of the ledger is not ended. */
async function note(db: Database, attempts: readonly Asked[], why: string): Promise<void> {
  if (attempts.length === 0) return;
  await sql`
    UPDATE attempt a SET last_error = ${why}
    FROM unnest(${attempts.map(({ submissionId }) => submissionId)}::text[], ${attempts.map((one) => one.number)}::int[]) AS noted (submission_id, number)
    WHERE a.submission_id = noted.submission_id AND a.number = noted.number AND a.state = 'OPEN'`.execute(db);
}

/**
 * What others took: how many withdrawals, and how much, in a rolling window. Exact, however many are asked for at once: whoever counts holds a lock per subject until he commits, so that the next one counts him, too.
 * The price is that requests of one subject (of an instrument, where a rule counts per instrument) are taken one after the other.
 *
 * What counts is what was asked for in the window and has not ended unpaid; so a withdrawal that waits for people takes its part as well.
 */
import { type RawBuilder, sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { unreachable } from '../env/errors.ts';
import { personOf } from '../env/person.ts';
import type { VelocityFacts, VelocityOf, VelocityQuestion } from './verdict.ts';

/** Whose withdrawals are counted: always of one instrument. */
export type VelocitySubject = {
  readonly accountId: bigint;
  readonly receiver: string;
  readonly client: string;
  readonly treasuryId: number;
  readonly instrumentKey: number;
};

/** Null: it is asked for at this moment, and counts after all that are there. Else it counts after those that were asked for before it. */
export type VelocityPlace = { readonly id: string; readonly createdAt: Micros } | null;

/** Takes the locks that make the counts of `questions` last until `tx` ends; in one order, so that nobody waits for whom he holds up. */
export async function lockVelocities(
  tx: Transaction,
  subject: VelocitySubject,
  questions: readonly VelocityQuestion[],
): Promise<void> {
  if (questions.length === 0) return;
  const names = questions.map(
    ({ per }) => `sluice velocity ${subject.instrumentKey} ${per} ${subjectOf(subject, per)}`,
  );
  await sql`
    SELECT pg_advisory_xact_lock(key) FROM (
      SELECT DISTINCT hashtextextended(name, 0) AS key FROM unnest(${names}::text[]) AS name ORDER BY key OFFSET 0
    ) AS ordered`.execute(tx);
}

/** Counts, one statement per question: each sees whatever was committed before the locks were given. */
export async function countVelocities(
  db: Database,
  subject: VelocitySubject,
  questions: readonly VelocityQuestion[],
  { place, nowMicros }: { readonly place: VelocityPlace; readonly nowMicros: Micros },
): Promise<VelocityOf> {
  const facts = new Map<string, VelocityFacts>();
  for (const question of questions) {
    const from = (place?.createdAt ?? nowMicros) - BigInt(question.windowSeconds) * 1_000_000n;
    const before =
      place === null ? sql`true` : sql`(w.created_at, w.id) < (${place.createdAt}::bigint, ${place.id}::text)`;
    const { rows } = await sql<{ count: number; sum: string }>`
      SELECT count(*)::int AS count, (coalesce(sum(w.amount::numeric), 0) * 10000000000)::numeric(60, 0)::text AS sum
      FROM withdrawal w
      WHERE w.instrument_id = ${subject.instrumentKey} AND ${isOf(subject, question.per)} AND w.created_at > ${from} AND ${before}
        AND w.state NOT IN ('REJECTED', 'CANCELLED', 'FAILED', 'RETURNED')`.execute(db);
    const [row = { count: 0, sum: '0' }] = rows;
    facts.set(keyOf(question), { count: row.count, sum: BigInt(row.sum) });
  }
  return (question) => facts.get(keyOf(question)) ?? { count: 0, sum: 0n };
}

function isOf(subject: VelocitySubject, per: VelocityQuestion['per']): RawBuilder<boolean> {
  switch (per) {
    case 'ACCOUNT':
      return sql<boolean>`w.account_id = ${subject.accountId}`;
    case 'RECEIVER':
      return sql<boolean>`w.receiver = ${subject.receiver}`;
    case 'CLIENT':
      return sql<boolean>`person_of(w.client) = ${personOf(subject.client)}`;
    case 'TREASURY':
      return sql<boolean>`w.treasury_id = ${subject.treasuryId}`;
    case 'INSTRUMENT':
      return sql<boolean>`true`;
    default:
      return unreachable(per);
  }
}

function subjectOf(subject: VelocitySubject, per: VelocityQuestion['per']): string {
  switch (per) {
    case 'ACCOUNT':
      return subject.accountId.toString();
    case 'RECEIVER':
      return subject.receiver;
    case 'CLIENT':
      return personOf(subject.client);
    case 'TREASURY':
      return subject.treasuryId.toString();
    case 'INSTRUMENT':
      return '';
    default:
      return unreachable(per);
  }
}

function keyOf({ per, windowSeconds }: VelocityQuestion): string {
  return `${per}:${windowSeconds}`;
}

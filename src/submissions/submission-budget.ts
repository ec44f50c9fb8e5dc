/**
 * What a treasury may submit: so many tries a second, so many bytes of traffic a second, nothing below a reserve of the participant's traffic, and nothing for a while after the network said that it is overloaded.
 * Kept in the database, so that all processes share it. What is refused here costs nothing: the attempt stays as it is and is taken when there is room.
 *
 * The first lane is for withdrawals. What serves the treasury itself leaves them half of each bucket.
 *
 * After a refusal for overload nothing is submitted for a time that doubles with each refusal in a row, with jitter; then one try at a time goes, until one is taken. So an overload is never answered by a storm,
 * and its end is noticed within the longest pause.
 * The reserve is kept to the byte: what a submission is about to cost is claimed from what is left before it is sent (traffic-readings.ts).
 * @see Canton: categories of error codes; `cost_estimation` of PrepareSubmissionResponse (±10 %). Traffic is the participant's, shared by all its parties.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { type Clock, type Micros, millisToMicros } from '../env/clock.ts';
import { messageOf, PermanentError, RetryableError } from '../env/errors.ts';
import type { Random } from '../env/random.ts';
import { type BucketRate, filled, fullBucket } from './token-bucket.ts';
import { claimTraffic, readTrafficLeft } from './traffic-readings.ts';

export type Lane = 'WITHDRAWALS' | 'UPKEEP';

export type BudgetLimits = {
  readonly submissionsPerSecond: number;
  /** Bytes; null: as many as there are. */
  readonly trafficPerSecond: number | null;
  /** Bytes of extra traffic below which nothing is submitted, where the balance can be read. */
  readonly trafficReserve: number;
};

/** What is not configured: far above what a treasury pays in a second, and the least that can be bought of traffic as the reserve. */
export const DEFAULT_BUDGET: BudgetLimits = {
  submissionsPerSecond: 100,
  trafficPerSecond: null,
  trafficReserve: 200_000,
};

export type SubmissionBudget = {
  /** How many tries may begin now, at most `wanted`; 0 while paused. */
  room(lane: Lane, wanted: number): Promise<number>;
  /** Takes what was begun out of the budget, with the traffic that was noted since. */
  spend(tries: number): Promise<void>;
  /**
   * Takes what the participant thinks that a submission costs, before it is sent. Where there is too little for the last one of a lane, that lane waits for a minute, and no other.
   * @throws RetryableError TRAFFIC_RESERVE: it would go below the reserve, and must not be sent.
   */
  claimTraffic(bytes: bigint, lane?: Lane): Promise<void>;
  /** Told of every error of a try: a refusal for overload begins a pause. @returns whether it was one, or our own for want of traffic. */
  noteRefusal(error: unknown): Promise<boolean>;
  /** A submission was taken: the overload is over. */
  noteTaken(): Promise<void>;
};

/** Canton's codes for: not now, there is too much. */
const OVERLOAD: ReadonlySet<string> = new Set([
  'PARTICIPANT_BACKPRESSURE',
  'PARTICIPANT_OVERLOADED',
  'SEQUENCER_BACKPRESSURE',
  'SEQUENCER_OVERLOADED',
  'SEQUENCER_REQUEST_FAILED',
  'THREADPOOL_OVERLOADED',
  'HEAP_MEMORY_OVER_LIMIT',
  'GRPC_RESOURCE_EXHAUSTED',
]);
/** … and for: the participant has no traffic left. It comes back by itself, slowly, or is bought. */
const NO_TRAFFIC: ReadonlySet<string> = new Set(['SEQUENCER_NOT_ENOUGH_TRAFFIC_CREDIT', 'NOT_ENOUGH_TRAFFIC_CREDIT']);

const PAUSE_MS_MIN = 500;
const PAUSE_MS_MAX = 8_000; // The end of an overload is noticed within ten seconds.
const NO_TRAFFIC_PAUSE_MS_MAX = 60_000;
const MILLI = 1_000n;
const COST_KEPT: Micros = 60_000_000n; // Then others are tried that may be cheaper: a dear one could keep them from it for as long as nobody buys traffic.
const BURST_SECONDS = 2n; // A bucket holds what comes back in so many seconds.

export function createSubmissionBudget(options: {
  readonly db: Database;
  readonly treasuryId: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: BudgetLimits;
}): SubmissionBudget {
  const { db, treasuryId, clock, random, limits } = options;
  const submissions = rateOf(BigInt(limits.submissionsPerSecond) * MILLI);
  const traffic = limits.trafficPerSecond === null ? null : rateOf(BigInt(limits.trafficPerSecond));
  let noted = 0n;
  const lastCosts = new Map<Lane, { readonly bytes: bigint; readonly at: Micros }>();
  let isSuspect = false;

  const take = async (unit: 'SUBMISSIONS' | 'TRAFFIC_BYTES', rate: BucketRate, amount: bigint): Promise<void> => {
    const now = clock.nowMicros();
    await db.transaction().execute(async (tx) => {
      await tx
        .insertInto('submission_budget')
        .values({ treasury_id: treasuryId, unit, level: rate.capacity, filled_at: now })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
      const row = await tx
        .selectFrom('submission_budget')
        .select(['level', 'filled_at'])
        .where('treasury_id', '=', treasuryId)
        .where('unit', '=', unit)
        .forUpdate()
        .executeTakeFirstOrThrow();
      const bucket = filled({ level: row.level, filledAt: row.filled_at }, rate, now);
      await tx
        .updateTable('submission_budget')
        .set({ level: bucket.level - amount, filled_at: bucket.filledAt })
        .where('treasury_id', '=', treasuryId)
        .where('unit', '=', unit)
        .execute();
    });
  };

  return {
    room: async (lane, wanted) => {
      const now = clock.nowMicros();
      const { pause, buckets, left } = await readBudget(db, treasuryId);
      isSuspect = pause !== null;
      // One that lasts longer was begun by a clock that was ahead: nothing would go until all clocks have come as far.
      if (pause !== null && now < pause.until && pause.until - now <= millisToMicros(NO_TRAFFIC_PAUSE_MS_MAX)) return 0;
      const last = lastCosts.get(lane);
      const lastCost = last === undefined || now - last.at > COST_KEPT ? 0n : last.bytes;
      const spare = left === null ? null : left - BigInt(limits.trafficReserve);
      if (spare !== null && (spare < 0n || spare < lastCost)) return 0;
      const levelOf = (unit: string, rate: BucketRate): bigint =>
        filled(buckets.get(unit) ?? fullBucket(rate, now), rate, now).level - kept(lane, rate);
      if (traffic !== null && levelOf('TRAFFIC_BYTES', traffic) - noted <= 0n) return 0;
      const tries = Number(levelOf('SUBMISSIONS', submissions) / MILLI);
      const affordable = spare === null || lastCost === 0n ? wanted : Number(spare / lastCost);
      return Math.max(0, Math.min(wanted, tries, affordable, pause === null ? wanted : 1));
    },
    spend: async (tries) => {
      if (tries > 0) await take('SUBMISSIONS', submissions, BigInt(tries) * MILLI);
      const bytes = noted;
      noted = 0n;
      if (traffic !== null && bytes > 0n) await take('TRAFFIC_BYTES', traffic, bytes);
    },
    claimTraffic: async (bytes, lane = 'WITHDRAWALS') => {
      lastCosts.set(lane, { bytes, at: clock.nowMicros() });
      const reserve = BigInt(limits.trafficReserve);
      if (!(await claimTraffic(db, { treasuryId, bytes, reserve }))) {
        throw new RetryableError('TRAFFIC_RESERVE', 'What is left of the participant’s traffic is kept in reserve.', {
          bytes: String(bytes),
          reserve: limits.trafficReserve,
        });
      }
      noted += bytes;
    },
    noteRefusal: async (error) => {
      const code = error instanceof RetryableError || error instanceof PermanentError ? error.code : '';
      if (code === 'TRAFFIC_RESERVE') return true; // Nothing was sent. There is room again when there is more of it.
      const isTraffic = NO_TRAFFIC.has(code);
      if (!isTraffic && !OVERLOAD.has(code)) return false;
      isSuspect = true;
      const longestMs = isTraffic ? NO_TRAFFIC_PAUSE_MS_MAX : PAUSE_MS_MAX;
      await beginPause(db, treasuryId, {
        code,
        detail: messageOf(error),
        now: clock.nowMicros(),
        longestMs,
        jitter: 0.5 + random.next() / 2,
      });
      return true;
    },
    noteTaken: async () => {
      if (!isSuspect) return;
      await db.deleteFrom('submission_pause').where('treasury_id', '=', treasuryId).execute();
      isSuspect = false;
    },
  };
}

function rateOf(perSecond: bigint): BucketRate {
  return { perSecond, capacity: perSecond * BURST_SECONDS };
}

/** What a lane leaves to those before it. */
function kept(lane: Lane, { capacity }: BucketRate): bigint {
  return lane === 'WITHDRAWALS' ? 0n : capacity / 2n;
}

async function readBudget(db: Database, treasuryId: number) {
  const { rows } = await sql<{
    unit: string | null;
    level: bigint | null;
    filledAt: bigint | null;
    pausedUntil: bigint | null;
    networkId: number;
  }>`
    SELECT b.unit, b.level, b.filled_at AS "filledAt", p.paused_until AS "pausedUntil", y.network_id AS "networkId"
    FROM treasury_party y
    LEFT JOIN submission_budget b ON b.treasury_id = y.id
    LEFT JOIN submission_pause p ON p.treasury_id = y.id
    WHERE y.id = ${treasuryId}`.execute(db);
  const buckets = new Map<string, { readonly level: bigint; readonly filledAt: Micros }>();
  for (const { unit, level, filledAt } of rows) {
    if (unit !== null && level !== null && filledAt !== null) buckets.set(unit, { level, filledAt });
  }
  const [first] = rows;
  const until = first?.pausedUntil ?? null;
  // Of the participants that were read, the one with the least: any of them may be the one that submits.
  const bought =
    first === undefined ? [] : (await readTrafficLeft(db, first.networkId)).filter((each) => each.isBought);
  const left = bought.reduce<bigint | null>(
    (least, each) => (least === null || each.left < least ? each.left : least),
    null,
  );
  return { buckets, pause: until === null ? null : { until }, left };
}

/** A refusal while a pause stands is one that was under way: it makes nothing worse. */
async function beginPause(
  db: Database,
  treasuryId: number,
  refusal: {
    readonly code: string;
    readonly detail: string;
    readonly now: Micros;
    readonly longestMs: number;
    readonly jitter: number;
  },
): Promise<void> {
  const { code, detail, now, longestMs, jitter } = refusal;
  const unit = millisToMicros(PAUSE_MS_MIN * jitter);
  await sql`
    INSERT INTO submission_pause AS p (treasury_id, code, detail, since, paused_until, refusals)
    VALUES (${treasuryId}, ${code}, ${detail}, ${now}, ${now + unit}, 1)
    ON CONFLICT (treasury_id) DO UPDATE SET code = excluded.code, detail = excluded.detail, refusals = p.refusals + 1,
      paused_until = ${now}::bigint + least(${millisToMicros(longestMs * jitter)}::bigint, ${unit}::bigint * (2 ^ least(p.refusals, 20))::bigint)
    WHERE p.paused_until <= ${now}::bigint OR p.paused_until > ${now + millisToMicros(NO_TRAFFIC_PAUSE_MS_MAX)}::bigint`.execute(
    db,
  );
}

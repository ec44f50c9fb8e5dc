/**
 * How fresh an answer is, told from what the database holds. Pure.
 *
 * | state      | means                                                                                                       |
 * |------------|-------------------------------------------------------------------------------------------------------------|
 * | LAST_KNOWN | the database is away: this is the last answer that was given, and nothing newer can be told                   |
 * | STARTING   | nothing has been received yet                                                                               |
 * | HALTED     | ingestion stopped itself because its position is in doubt; an operator is needed                             |
 * | STALLED    | no message for longer than a participant may be silent: the connection, the participant or our worker is gone |
 * | QUIET      | messages come, but the ledger's own time stands still or is far behind                                      |
 * | BEHIND     | messages come, and what they tell is older than a live stream would be: a backlog is being read              |
 * | IDLE       | all of the ledger's history is here, up to a normal delay                                                   |
 */
import { type Micros, microsToMillis, millisToMicros } from '../env/clock.ts';

export type FreshnessState = 'LAST_KNOWN' | 'STARTING' | 'IDLE' | 'BEHIND' | 'STALLED' | 'QUIET' | 'HALTED';

export type Freshness = {
  /** The newest record time known to be complete here, on the synchronizer of the treasury; null before the first message. */
  readonly recordTime: Micros | null;
  /** Wall clock less record time, milliseconds, not below 0; null with `recordTime`, but of a last known answer, whose own age is known. */
  readonly ageMs: number | null;
  readonly state: FreshnessState;
};

export type FreshnessInput = {
  readonly status: 'STARTING' | 'RUNNING' | 'HALTED';
  /** Wall clock of the last message. */
  readonly observedAt: Micros | null;
  readonly recordTime: Micros | null;
  readonly now: Micros;
  /** Milliseconds since a last known answer was read; left out or null: it is read now. */
  readonly lastKnownMs?: number | null;
};

/** 75 s: a participant sends an offset checkpoint at least that often (60 s idle timer and 15 s refresh, its defaults). */
const SILENCE_MAX: Micros = millisToMicros(75_000);
/** 35 min: the design's limit for a synchronizer whose time does not move. */
const QUIET_AFTER: Micros = millisToMicros(35 * 60_000);
/** 150 s: twice the longest silence, so that a live stream between two checkpoints is not called behind. */
const BEHIND_AFTER: Micros = 2n * SILENCE_MAX;

export function freshnessOf(input: FreshnessInput): Freshness {
  const { status, observedAt, recordTime, now, lastKnownMs = null } = input;
  const age = recordTime === null ? null : now > recordTime ? now - recordTime : 0n;
  const ageMs = age === null ? null : microsToMillis(age);
  // The ledger's clock may be ahead of ours: an answer is as old as it is, whatever its record time says.
  if (lastKnownMs !== null) return { recordTime, ageMs: Math.max(ageMs ?? 0, lastKnownMs), state: 'LAST_KNOWN' };
  return { recordTime, ageMs, state: stateOf() };

  function stateOf(): FreshnessState {
    if (status === 'HALTED') return 'HALTED';
    if (observedAt === null || age === null) return 'STARTING';
    if (now - observedAt > SILENCE_MAX) return 'STALLED';
    if (age > QUIET_AFTER) return 'QUIET';
    return age > BEHIND_AFTER ? 'BEHIND' : 'IDLE';
  }
}

/** The worst first. */
const SEVERITY: readonly FreshnessState[] = ['LAST_KNOWN', 'HALTED', 'STALLED', 'QUIET', 'STARTING', 'BEHIND', 'IDLE'];

/** What holds for an answer about several streams: the worst of their states, and the oldest record time; null where one of them has none, or where there is no stream. */
export function worstFreshness(
  streams: readonly Omit<FreshnessInput, 'now' | 'lastKnownMs'>[],
  { now, lastKnownMs = null }: Pick<FreshnessInput, 'now' | 'lastKnownMs'>,
): Freshness {
  const nothing = freshnessOf({ status: 'STARTING', observedAt: null, recordTime: null, now, lastKnownMs });
  const all = streams.map((stream) => freshnessOf({ ...stream, now, lastKnownMs }));
  return all.length === 0 ? nothing : all.reduce(worse);
}

function worse(one: Freshness, other: Freshness): Freshness {
  const state = SEVERITY.indexOf(one.state) < SEVERITY.indexOf(other.state) ? one.state : other.state;
  const recordTime = oldest(one.recordTime, other.recordTime);
  // A last known answer has an age of its own, also where one of the streams has never told a record time.
  const ages = [one.ageMs, other.ageMs].filter((age) => age !== null);
  const ageMs = recordTime !== null || state === 'LAST_KNOWN' ? Math.max(...ages) : null;
  return { recordTime, ageMs, state };
}

function oldest(one: Micros | null, other: Micros | null): Micros | null {
  if (one === null || other === null) return null;
  return one < other ? one : other;
}

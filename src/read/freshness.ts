/**
 * How fresh a treasury party's data is, told from what the database holds. Pure.
 *
 * | state    | means                                                                                                       |
 * |----------|-------------------------------------------------------------------------------------------------------------|
 * | STARTING | nothing has been received yet                                                                               |
 * | HALTED   | ingestion stopped itself because its position is in doubt; an operator is needed                             |
 * | STALLED  | no message for longer than a participant may be silent: the connection, the participant or our worker is gone |
 * | QUIET    | messages come, but the ledger's own time stands still or is far behind                                      |
 * | BEHIND   | messages come, and what they tell is older than a live stream would be: a backlog is being read              |
 * | IDLE     | all of the ledger's history is here, up to a normal delay                                                   |
 */
import { type Micros, microsToMillis, millisToMicros } from '../env/clock.ts';

export type FreshnessState = 'STARTING' | 'IDLE' | 'BEHIND' | 'STALLED' | 'QUIET' | 'HALTED';

export type Freshness = {
  /** The newest record time known to be complete here, over all synchronizers; null before the first message. */
  readonly recordTime: Micros | null;
  /** Wall clock less record time, milliseconds, not below 0; null with `recordTime`. */
  readonly ageMs: number | null;
  readonly state: FreshnessState;
};

export type FreshnessInput = {
  readonly status: 'STARTING' | 'RUNNING' | 'HALTED';
  /** Wall clock of the last message. */
  readonly observedAt: Micros | null;
  readonly recordTime: Micros | null;
  readonly now: Micros;
};

/** 75 s: a participant sends an offset checkpoint at least that often (60 s idle timer and 15 s refresh, its defaults). */
const SILENCE_MAX: Micros = millisToMicros(75_000);
/** 35 min: the design's limit for a synchronizer whose time does not move. */
const QUIET_AFTER: Micros = millisToMicros(35 * 60_000);
/** 150 s: twice the longest silence, so that a live stream between two checkpoints is not called behind. */
const BEHIND_AFTER: Micros = 2n * SILENCE_MAX;

export function freshnessOf({ status, observedAt, recordTime, now }: FreshnessInput): Freshness {
  const age = recordTime === null ? null : now > recordTime ? now - recordTime : 0n;
  const ageMs = age === null ? null : microsToMillis(age);
  return { recordTime, ageMs, state: stateOf() };

  function stateOf(): FreshnessState {
    if (status === 'HALTED') return 'HALTED';
    if (observedAt === null || age === null) return 'STARTING';
    if (now - observedAt > SILENCE_MAX) return 'STALLED';
    if (age > QUIET_AFTER) return 'QUIET';
    return age > BEHIND_AFTER ? 'BEHIND' : 'IDLE';
  }
}

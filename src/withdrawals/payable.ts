/**
 * Whether a withdrawal may be paid at this moment. One list of reasons against it, asked where an attempt would be opened and by those who tell people what a withdrawal waits for; a reason of another part of
 * Sluice is a predicate from a file of its own, with a name in this list.
 */
import { type RawBuilder, sql } from 'kysely';
import { isHeldByRestore } from '../db/database-restore.ts';
import { isFrozen } from '../ingestion/freezes.ts';
import { HAS_LEAVE } from '../policy/leave.ts';
import { isHalted } from '../submissions/halts.ts';
import { isPaidBefore } from './earlier-payment.ts';
import { isPaid } from './payment-policy.ts';
import { IS_SUPERSEDED } from './superseded-refund.ts';
import { isPastDeadline } from './withdrawal-deadline.ts';
import { isStopped } from './withdrawal-stops.ts';

/**
 * What keeps a queued withdrawal `w` from being paid, each with its condition; the first that holds is told.
 *
 *   PAID_BEFORE  the ledger shows a payment that carries its id, or of another refund of the same deposit, which a restored database has lost
 *   HALT         a kill switch covers it
 *   FREEZE       a freeze covers it
 *   RESTORED     the database went back, and nobody has said since that it is still wanted
 *   HELD         somebody holds it
 *   PARKED       it is out of the automation until a person says otherwise
 *   DEADLINE     the ledger has passed its deadline: it is about to fail
 *   APPROVAL     the policy has not given its leave: it has to be judged anew, or people or the screening service have not said yes
 *   POLICY       the token directory has it that its instrument is not paid
 */
export const REASONS_AGAINST_PAYING = {
  PAID_BEFORE: sql<boolean>`(${isPaidBefore(sql`ARRAY[w.id]`)} OR ${IS_SUPERSEDED})`,
  HALT: isHalted(sql`w.treasury_id`, sql`w.instrument_id`),
  FREEZE: isFrozen(sql`w.treasury_id`, sql`w.instrument_id`),
  RESTORED: isHeldByRestore(sql`w.id`),
  HELD: isStopped(sql`w.id`, 'HOLD'),
  PARKED: isStopped(sql`w.id`, 'PARK'),
  DEADLINE: isPastDeadline(sql`w.deadline`, sql`w.treasury_id`),
  APPROVAL: sql<boolean>`NOT ${HAS_LEAVE}`,
  POLICY: sql<boolean>`NOT ${isPaid(sql`w.instrument_id`)}`,
} as const satisfies Record<string, RawBuilder<boolean>>;

export type ReasonAgainstPaying = keyof typeof REASONS_AGAINST_PAYING;

/** Over a withdrawal `w`: nothing in the list holds. */
export const IS_PAYABLE: RawBuilder<boolean> = sql<boolean>`NOT (${sql.join(Object.values(REASONS_AGAINST_PAYING), sql` OR `)})`;

/**
 * Over a submission `s` that pays a withdrawal: whether a signature may be asked for. Whoever wants it cancelled, held or parked, a deadline that has passed, and a payment that carries its id, stop that; what is signed already they do not. Each
 * of these is also a reason against paying, or the withdrawal would be given attempts and lose them for ever.
 */
export const MAY_BE_SIGNED: RawBuilder<boolean> = sql<boolean>`EXISTS (
  SELECT FROM withdrawal w
  WHERE w.id = s.withdrawal_id AND w.state = 'IN_FLIGHT' AND NOT w.is_cancel_requested AND NOT ${REASONS_AGAINST_PAYING.PAID_BEFORE}
    AND NOT ${isHeldByRestore(sql`w.id`)} AND NOT ${isStopped(sql`w.id`, 'HOLD')} AND NOT ${isStopped(sql`w.id`, 'PARK')} AND NOT ${isPastDeadline(sql`w.deadline`, sql`w.treasury_id`)}
    AND ${HAS_LEAVE}
  OFFSET 0 -- Asked for one submission after the other, until there are enough; joined instead, it would be asked of everything in flight.
)`;

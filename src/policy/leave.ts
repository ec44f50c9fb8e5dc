/**
 * Whether the policy lets a withdrawal be paid, as part of statements: by the one function of the database that its own walls ask, too. Without a clock: approvals that have run out since are found by the loop, which asks
 * people again, and by the wall when an attempt is opened.
 */
import { type RawBuilder, sql } from 'kysely';

/** Over a withdrawal `w`: it was judged by the policy in force, and whoever was to be asked has said yes. */
export const HAS_LEAVE: RawBuilder<boolean> = sql<boolean>`(policy_leave(w.id, w.verdict, w.network_id, NULL) = 'GIVEN')`;

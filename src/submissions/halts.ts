/**
 * Halts: kill switches. A halt covers a treasury, an instrument, one instrument of one treasury, or, with neither, everything; while it stands nothing is signed and nothing that was signed is sent. It is read
 * in the very statement that writes down that a signature is asked for, so it holds in every process from the moment it is committed, whatever that process remembers, and after any restart.
 *
 * Anybody who may operate halts. Lifting is the dangerous direction: one person asks, another one agrees. Halting again what is halted already takes a wish to lift back.
 */
import { type RawBuilder, sql } from 'kysely';
import { covers } from '../ingestion/freezes.ts';

/** Whether a halt covers an instrument of a treasury, both as SQL of the statement it stands in. */
export function isHalted(treasuryId: RawBuilder<unknown>, instrumentKey: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`EXISTS (SELECT FROM halt WHERE ${covers(sql`halt`, treasuryId, instrumentKey)})`;
}

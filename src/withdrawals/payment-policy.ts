/** What the token directory says of paying out: read where an attempt would be opened, so that a decision holds for whatever still waits. */
import { type RawBuilder, sql } from 'kysely';

/**
 * Whether withdrawals of an instrument may be paid directly: its policy says so, and its registry still says what was pinned when it was onboarded. True of an instrument that the directory does
 * not have: nobody decided anything about it.
 */
export function isPaidDirectly(instrumentKey: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`NOT EXISTS (
    SELECT FROM token WHERE token.instrument_id = ${instrumentKey} AND (NOT token.pays_direct OR token.registry_differs IS NOT NULL)
  )`;
}

/**
 * The one condition under which an offer may be accepted: its instrument is taken as offers, it is for an account that we know (by its memo, or because somebody at the desk assigned it), it is large
 * enough or a person wants it all the same, and screening lets it pass. It stands in the statement that opens attempts and in the one before each try, so it is judged anew each time.
 */
import { type RawBuilder, sql } from 'kysely';
import type { OfferRules } from './offer-rules.ts';

/**
 * What joins an open offer `i` (transfer_instruction) to what decides about it: `p` treasury_party, `k` instrument, `policy` token or nothing, `d` deposit_account or nothing, `c` desk_case or
 * nothing.
 */
export const OFFER_FACTS: RawBuilder<unknown> = sql`
  JOIN treasury_party p ON p.id = i.treasury_id
  JOIN instrument k ON k.id = i.instrument_id
  LEFT JOIN token policy ON policy.instrument_id = i.instrument_id
  LEFT JOIN deposit_account d ON d.network_id = p.network_id AND d.memo = i.memo AND d.state <> 'DISABLED'
  LEFT JOIN desk_case c ON c.transfer_id = i.transfer_id AND c.state = 'ASSIGNED'`;

/** Over {@link OFFER_FACTS}: somebody's, of an instrument whose offers we take, and for all that the treasury has: what goes to a divided account of it could be credited to nobody. */
export const IS_FOR_US: RawBuilder<boolean> = sql<boolean>`(
  k.is_accepted AND coalesce(policy.credits_deposits AND policy.accepts_offers, true)
  AND (d.id IS NOT NULL OR c.transfer_id IS NOT NULL)
  AND NOT EXISTS (SELECT FROM transfer part WHERE part.id = i.transfer_id AND part.transfer_object->>'isToPart' = 'true')
)`;

/** Over {@link OFFER_FACTS}. */
export const IS_LARGE_ENOUGH: RawBuilder<boolean> = sql<boolean>`(i.amount::numeric >= coalesce(policy.deposit_min::numeric, 0))`;

/** Over {@link OFFER_FACTS} and an offer_action `a`. */
export function mayBeAccepted({ isCleared }: Pick<OfferRules, 'isCleared'>): RawBuilder<boolean> {
  return sql<boolean>`(${IS_FOR_US} AND (a.is_forced OR ${IS_LARGE_ENOUGH}) AND ${isCleared({ transferId: sql`i.transfer_id`, networkId: sql`p.network_id` })})`;
}

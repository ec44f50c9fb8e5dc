/**
 * What the token directory says of paying out: whether an instrument is paid at all is read where an attempt would be opened, so that a decision holds for whatever still waits; in which way, at each try,
 * and held against what the registry says of this very transfer.
 */
import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';

/**
 * Whether withdrawals of an instrument may be paid, directly or by an offer: its policy says so, and its registry still says what was pinned when it was onboarded. True of an instrument that the directory
 * does not have: nobody decided anything about it.
 */
export function isPaid(instrumentKey: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`NOT EXISTS (
    SELECT FROM token WHERE token.instrument_id = ${instrumentKey} AND ((NOT token.pays_direct AND NOT token.pays_offers) OR token.registry_differs IS NOT NULL)
  )`;
}

export type PaymentPolicy = {
  readonly paysDirect: boolean;
  readonly paysOffers: boolean;
  /** How long an offer of ours stands, from the last moment at which it may be made. */
  readonly offerValiditySeconds: number;
};

/** Where nobody decided anything: an offer leaves the money locked until somebody else acts, so it takes a decision. */
const UNDECIDED: PaymentPolicy = { paysDirect: true, paysOffers: false, offerValiditySeconds: 0 };

/** What holds now for the instruments of submissions, in their order. */
export async function readPaymentPolicies(
  db: Database,
  submissionIds: readonly string[],
): Promise<readonly PaymentPolicy[]> {
  const { rows } = await sql<PaymentPolicy & { submissionId: string }>`
    SELECT s.id AS "submissionId", token.pays_direct AS "paysDirect", token.pays_offers AS "paysOffers", token.offer_validity_seconds AS "offerValiditySeconds"
    FROM submission s JOIN token ON token.instrument_id = s.instrument_id WHERE s.id = ANY (${submissionIds}::text[])`.execute(
    db,
  );
  const policies = new Map(rows.map(({ submissionId, ...policy }) => [submissionId, policy]));
  return submissionIds.map((submissionId) => policies.get(submissionId) ?? UNDECIDED);
}

/** Canton Coin refuses offers that stand longer, from `requestedAt` on (`tokenStandardMaxTTL`, since Splice 0.6.11). */
const AMULET_OFFER_MICROS_MAX = 90n * 86_400_000_000n;

/**
 * When an offer ends that may be made until `target`: it stands for at least as long as the policy has it, and no longer than its registry takes.
 * @returns exclusive.
 */
export function offerDeadline({
  requestedAt,
  target,
  validitySeconds,
  isAmulet,
}: {
  readonly requestedAt: Micros;
  readonly target: Micros;
  readonly validitySeconds: number;
  readonly isAmulet: boolean;
}): Micros {
  const wanted = target + BigInt(validitySeconds) * 1_000_000n;
  const longest = requestedAt + AMULET_OFFER_MICROS_MAX;
  return isAmulet && wanted > longest ? longest : wanted;
}

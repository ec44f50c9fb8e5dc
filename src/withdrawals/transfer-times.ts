/** Times of the transfers that we make. */

/** A transfer must have been requested in the past, by the ledger's clock, not ours. */
export const REQUESTED_BEFORE_MS = 60_000;

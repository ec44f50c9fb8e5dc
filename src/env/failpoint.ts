/**
 * Named points at which tests stop, delay or kill the process: the money path calls `await failpoint(name)` between any two effects.
 * In production the function does nothing. The names are a closed list so that a test can enumerate "killed at every step".
 */
export const FAILPOINTS = [
  'ingestion.beforeBatch',
  'ingestion.afterUpdatesStored',
  'ingestion.afterEffectsBeforeCommit',
  'ingestion.afterCommit',
  'continuity.beforeAnchorSearch',
  'continuity.beforeNewEpoch',
  'continuity.afterNewEpoch',
  'continuity.beforeOpening',
  'continuity.afterOpening',
  'rebuild.afterPage',
  'rebuild.beforeSwitch',
  'rebuild.beforeSwitchCommit',
  'rebuild.afterSwitch',
  'eventLog.beforeSequence',
  'eventLog.afterSequence',
  'withdrawals.afterFunding',
  'withdrawals.afterPrepare',
  'withdrawals.afterSignatureRequested',
  'withdrawals.afterSigning',
  'withdrawals.beforeExecute',
  'withdrawals.afterExecute',
  'withdrawals.afterLapse',
  'offers.afterFinding',
  'offers.afterFunding',
  'offers.afterPrepare',
  'offers.afterSignatureRequested',
  'offers.afterSigning',
  'offers.beforeExecute',
  'offers.afterExecute',
  'offers.afterLapse',
  'returns.afterFinding',
  'returns.afterFunding',
  'returns.afterPrepare',
  'returns.afterSignatureRequested',
  'returns.afterSigning',
  'returns.beforeExecute',
  'returns.afterExecute',
  'returns.afterLapse',
  'selfTransfers.afterPrepare',
  'selfTransfers.afterSignatureRequested',
  'selfTransfers.afterSigning',
  'selfTransfers.beforeExecute',
  'selfTransfers.afterExecute',
  'selfTransfers.afterLapse',
  'screening.beforeCall',
  'screening.afterAnswer',
  'screening.afterVerdict',
] as const;

export type FailpointName = (typeof FAILPOINTS)[number];

/** Resolves when the caller may go on; may throw, or never return at all, when a test has armed the name. */
export type Failpoint = (name: FailpointName) => Promise<void>;

export const noFailpoints: Failpoint = async () => {
  // Nothing is armed outside tests.
};

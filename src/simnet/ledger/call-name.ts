/** The calls of a participant that can be told to fail, by the names of their functions. */
export const CALL_NAMES = [
  'completionStream',
  'executeSubmission',
  'executeSubmissionAndWait',
  'getActiveContracts',
  'getActiveContractsPage',
  'getCompletions',
  'getConnectedSynchronizers',
  'getEventsByContractId',
  'getLatestPrunedOffsets',
  'getLedgerApiVersion',
  'getLedgerEnd',
  'getPackageStatus',
  'getParticipantId',
  'getParties',
  'getPreferredPackages',
  'getUpdateById',
  'getUpdateByOffset',
  'getUpdates',
  'getUpdatesPage',
  'listKnownParties',
  'listPackages',
  'prepareSubmission',
] as const;

export type CallName = (typeof CALL_NAMES)[number];

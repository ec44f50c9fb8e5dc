/** The columns of an attribution, the one decision to whom a transfer belongs. */
export const ATTRIBUTION_COLUMNS = {
  transfer_id: 'text',
  account_id: 'bigint',
  deposit_account_id: 'text',
  decided_by: 'text',
  record_time: 'bigint',
} as const;

/** Whose a deposit is, or why it is nobody's. */

export type Owner = {
  readonly accountId: bigint;
  /** The customer's account at the exchange. */
  readonly name: string;
  readonly depositAccountId: string | null;
  /** `memo`, or the principal who assigned it. */
  readonly decidedBy: string;
};

export type Unattributed = 'NO_MEMO' | 'UNKNOWN_MEMO' | 'MEMO_DISABLED' | 'INSTRUMENT_NOT_ACCEPTED';

/** A tab that GraphiQL begins with, and what its variables are made of. */

/** What the samples ask for: of a withdrawal, but for the last. */
export type SampleWithdrawal = {
  readonly idempotencyKey: string;
  readonly account: string;
  readonly instrumentAdmin: string;
  readonly instrumentId: string;
  /** A party id. */
  readonly receiver: string;
  /** Decimal text. */
  readonly amount: string;
  /** A record time that what was then can be asked for. */
  readonly asOf: string;
};

/** Stand for what of a {@link SampleWithdrawal} is not known. */
export const PLACEHOLDERS: SampleWithdrawal = {
  idempotencyKey: 'try-1',
  account: 'alice',
  instrumentAdmin: 'DSO::1220…',
  instrumentId: 'Amulet',
  receiver: 'customer::1220…',
  amount: '1.5',
  asOf: '2026-01-01T00:00:00Z',
};

export type SampleTab = {
  /** Of the tab: the name of its first operation. */
  readonly title: string;
  readonly query: string;
  /** Of all its operations together. */
  readonly variablesOf?: (sample: SampleWithdrawal) => Readonly<Record<string, unknown>>;
};

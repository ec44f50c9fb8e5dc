/** What the simulated network and whoever runs it say to each other. Amounts are decimal text. */

/** alice-memo and bob-memo belong to customers; nobody has the third. */
export const MEMOS = ['alice-memo', 'bob-memo', 'nobody-memo'] as const;
export const CUSTOMERS: Readonly<Record<string, string>> = { 'alice-memo': 'alice', 'bob-memo': 'bob' };

/** Paid directly; by an offer that is accepted, that is rejected, that is left lying. */
export const PAYEES = ['bob', 'carol', 'dave', 'erin'] as const;
export type Payee = (typeof PAYEES)[number];

export type Instrument = { readonly admin: string; readonly id: string };

export type NetworkReady = {
  readonly ledgerPort: number;
  readonly registries: readonly { readonly admin: string; readonly url: string }[];
  readonly validatorUrl: string;
  readonly treasury: string;
  readonly instrument: Instrument;
  readonly instruments: readonly (Instrument & { readonly name: string })[];
  /** Party ids. */
  readonly payees: Readonly<Record<Payee, string>>;
};

export type Deposited = {
  readonly memo: string;
  readonly amount: string;
  readonly isOffer: boolean;
  readonly updateId: string;
};

/** What the network itself says happened, read from its ledger alone. */
export type Truth = {
  /** Of the treasury: contract id and amount. */
  readonly holdings: readonly (readonly [string, string])[];
  readonly balance: string;
  /** Amounts of the holdings that each payee has: one per payment. */
  readonly paid: Readonly<Record<Payee, readonly string[]>>;
  readonly deposited: readonly Deposited[];
  /** Offers to the treasury that nobody has ended. */
  readonly offersOpen: number;
  /** Transactions that the participant shows of the treasury. */
  readonly updates: number;
  readonly newestUpdateId: string | null;
};

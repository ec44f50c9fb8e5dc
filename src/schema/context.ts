/** What resolvers are given: services and the principal. No SQL is written in src/schema and no GraphQL type is known outside. */
import type { PostTransfers } from '../books/post-transfers.ts';
import type { Database } from '../db/connection.ts';
import type { EventTail } from '../db/event-tail.ts';
import type { OfferRequests } from '../deposits/acceptance/offer-requests.ts';
import type { DepositAccountChanges } from '../deposits/deposit-account-changes.ts';
import type { DepositAccounts } from '../deposits/deposit-accounts.ts';
import type { Desk } from '../deposits/desk.ts';
import type { ScreeningRequests } from '../deposits/screening-requests.ts';
import type { TokenDirectory } from '../directory/token-directory.ts';
import type { Clock } from '../env/clock.ts';
import type { Approvals } from '../policy/approvals.ts';
import type { PolicyChanges } from '../policy/policy-changes.ts';
import type { Preflight } from '../preflight/preflight.ts';
import type { DatabaseView } from '../read/database-view.ts';
import type { IngestionProgress } from '../read/ingestion-progress.ts';
import type { Withdrawals } from '../withdrawals/withdrawal-requests.ts';
import type { ApiLimits } from './api-limits.ts';
import type { Principal } from './principal.ts';

export type ApiServices = {
  readonly db: Database;
  readonly depositAccounts: DepositAccounts;
  readonly depositAccountChanges: DepositAccountChanges;
  /** What people decide about deposits that name nobody. */
  readonly desk: Desk;
  readonly screeningRequests: ScreeningRequests;
  /** What people can ask for about an offer to us. */
  readonly offers: OfferRequests;
  /** Null: this installation does not pay out, and says so to whoever asks. */
  readonly withdrawals: Withdrawals | null;
  /** What services move between accounts. */
  readonly postTransfers: PostTransfers;
  /** Looks ahead at withdrawals; null where there are none. */
  readonly preflight: Preflight | null;
  /** Which instruments are ours, and what is done with them. */
  readonly tokens: TokenDirectory;
  /** What people say to withdrawals that need them. */
  readonly approvals: Approvals;
  /** How the policy of withdrawals changes. */
  readonly policyChanges: PolicyChanges;
  /** Which one is served here. */
  readonly network: string;
  readonly tail: EventTail;
  readonly progress: IngestionProgress;
  readonly clock: Clock;
  /** What is bounded, and by how much. */
  readonly limits: ApiLimits;
  /** How far ahead of our clock a ledger may be for something to be opened on it: the margin of a restore. */
  readonly recordTimeAheadMsMax: number;
  /** Bytes of traffic that are never used up; 0 when left out. */
  readonly trafficReserve?: number;
};

/** What an answer is told to be of, read before its rows. */
export type AnswerView = DatabaseView & {
  /** Milliseconds since the rows were read, of a last known answer; null: they are read now. */
  readonly lastKnownMs: number | null;
};

export type ApiContext = ApiServices & {
  readonly principal: Principal;
  /** Of queries that ask for a `Freshness` (src/server/answers.ts). */
  readonly view?: AnswerView;
};

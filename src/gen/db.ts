/** The tables of the database, made from the migrated schema by scripts/generate.ts. Not edited by hand. */
import type { ColumnType, GeneratedAlways } from 'kysely';

/** A column with a default: may be left out of an INSERT. */
type WithDefault<S, I = S, U = S> = ColumnType<S, I | undefined, U>;

/** bytea: the driver returns a Buffer and takes any bytes. */
type Bytes = ColumnType<Buffer, Uint8Array, Uint8Array>;

/** jsonb: parsed on the way out, JSON text (JSON.stringify) on the way in. */
type Json = ColumnType<JsonValue, string, string>;

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

export interface AccountTable {
  id: GeneratedAlways<bigint>;
  network_id: number;
  kind: 'CUSTOMER' | 'TREASURY' | 'UNATTRIBUTED' | 'UNEXPLAINED' | 'FEES' | 'HOUSE' | 'IN_TRANSIT' | 'BETWEEN_TREASURIES' | 'OPENING' | 'WITHDRAWALS' | 'HELD' | 'REFUNDS' | 'SHORTFALL';
  owner: string;
}

export interface AccountBalanceTable {
  account_id: GeneratedAlways<bigint>;
  instrument_id: GeneratedAlways<number>;
  balance: GeneratedAlways<string>;
}

export interface ApiKeyTable {
  id: string;
  client: string;
  sha256: Bytes;
  scopes: string[];
  network: string | null;
  account_owner: string | null;
  created_at: bigint;
  created_by: string;
  expires_at: bigint | null;
  revoked_at: bigint | null;
  revoked_by: string | null;
  revoked_why: string | null;
  last_used_at: bigint | null;
}

export interface ApiKeyVersionTable {
  is_only: WithDefault<boolean>;
  version: string;
}

export interface AttemptTable {
  submission_id: string;
  number: number;
  state: 'OPEN' | 'SETTLED' | 'LAPSED' | 'GIVEN_UP';
  synchronizer_id: string;
  target_record_time: bigint;
  transfer_object: Json;
  sign_requested_at: bigint | null;
  tries: WithDefault<number>;
  next_try_at: bigint;
  last_error: string | null;
  opened_at: bigint;
  closed_at: bigint | null;
  lapsed_by: bigint | null;
  taken_at: bigint | null;
  inputs_active_offset: bigint | null;
  sign_requests: number | null;
  sign_refusals: WithDefault<number>;
}

export interface AttributionTable {
  transfer_id: string;
  account_id: bigint;
  deposit_account_id: string | null;
  decided_by: string;
  record_time: bigint;
}

export interface AuditChainTable {
  only_row: WithDefault<boolean>;
  position: bigint;
  hash: Bytes;
}

export interface AuditEntryTable {
  position: bigint;
  at: bigint;
  principal: string;
  action: string;
  input_hash: ColumnType<Buffer | null, Uint8Array | null | undefined, Uint8Array | null>;
  subject_type: string;
  subject: string;
  before: ColumnType<JsonValue, string | null | undefined, string | null>;
  after: ColumnType<JsonValue, string | null | undefined, string | null>;
  hash: Bytes;
}

export interface AuditOutboxTable {
  seq: GeneratedAlways<bigint>;
  at: bigint;
  principal: string;
  action: string;
  input_hash: ColumnType<Buffer | null, Uint8Array | null | undefined, Uint8Array | null>;
  subject_type: string;
  subject: string;
  before: ColumnType<JsonValue, string | null | undefined, string | null>;
  after: ColumnType<JsonValue, string | null | undefined, string | null>;
}

export interface CustomerBalanceTable {
  account_id: bigint;
  instrument_id: number;
  balance: string;
}

export interface CustomerBooksTable {
  network_id: number;
  mode: 'EXTERNAL' | 'OPENING' | 'INTERNAL';
  changed_at: bigint;
  changed_by: string;
  posts_whole_at: bigint | null;
}

export interface DatabaseRestoreTable {
  cause: string;
  treasury_id: number | null;
  noticed_at: bigint;
  noticed_by: string;
  detail: string;
  safe_record_time: bigint;
  lost_events: bigint | null;
  put_back: Json;
}

export interface DatabaseRoleTable {
  name: string;
  kind: 'WORKER' | 'API' | 'ALL' | 'READ' | 'AUDITOR';
}

export interface DepositAccountTable {
  id: string;
  network_id: number;
  memo: string;
  account_id: bigint;
  created_at: bigint;
  created_by: string;
  state: WithDefault<'ACTIVE' | 'RETIRED' | 'DISABLED'>;
  metadata: ColumnType<JsonValue, string | null | undefined, string | null>;
  replaced_by: string | null;
  changed_at: bigint | null;
  changed_by: string | null;
}

export interface DepositScreeningTable {
  network_id: number;
  is_on: boolean;
  decided_at: bigint;
  decided_by: string;
  why: string;
}

export interface DeskCaseTable {
  transfer_id: string;
  treasury_id: number;
  instrument_id: number;
  state: 'OFFERED' | 'OPEN' | 'ASSIGNED' | 'REFUNDED' | 'ENDED';
  why: 'NO_MEMO' | 'UNKNOWN_MEMO' | 'MEMO_DISABLED' | 'INSTRUMENT_NOT_ACCEPTED' | 'DENIED';
  amount: string;
  memo: string | null;
  sender: string | null;
  update_id: string;
  record_time: bigint;
  named_account_id: bigint | null;
  account_id: bigint | null;
  decided_by: string | null;
  funds_account_id: bigint | null;
  withdrawal_id: string | null;
}

export interface DeskDecisionTable {
  id: GeneratedAlways<bigint>;
  transfer_id: string;
  kind: 'ASSIGN' | 'REFUND' | 'REJECT';
  state: 'AWAITING_APPROVAL' | 'DONE' | 'REFUSED';
  account_id: bigint | null;
  needs_approval: boolean;
  reason: string;
  withdrawal_id: string | null;
  requested_by: string;
  requested_at: bigint;
  decided_by: string | null;
  decided_at: bigint | null;
  decided_reason: string | null;
}

export interface EventTable {
  position: bigint;
  event_id: string;
  type: string;
  subject: string;
  payload: Json;
  recorded_at: bigint;
}

export interface EventLogTable {
  only_row: WithDefault<boolean>;
  epoch: string;
  last_position: bigint;
  history: string | null;
  vouched: string | null;
}

export interface EventLogEpochTable {
  epoch: string;
  shared_position: bigint;
  reason: 'HISTORY_CHANGED' | 'WENT_BACK' | 'OPERATOR';
  history_before: string | null;
  history_after: string;
  detail: string;
  ended_at: bigint;
}

export interface EventOutboxTable {
  seq: GeneratedAlways<bigint>;
  event_id: string;
  type: string;
  subject: string;
  payload: Json;
  recorded_at: bigint;
  at_commit: WithDefault<boolean>;
}

export interface HaltTable {
  id: string;
  treasury_id: number | null;
  instrument_id: number | null;
  why: string;
  halted_at: bigint;
  halted_by: string;
  lift_asked_at: bigint | null;
  lift_asked_by: string | null;
  lift_why: string | null;
  lifted_at: bigint | null;
  lifted_by: string | null;
}

export interface HistoryGapTable {
  treasury_id: number;
  epoch: number;
  after_update_id: string | null;
  after_record_time: bigint | null;
  position_offset: bigint;
  pruned_offset: bigint;
  resumed_offset: bigint;
  contracts_vanished: number;
  contracts_appeared: number;
  recorded_by: string;
  recorded_at: bigint;
}

export interface HoldingTable {
  treasury_id: number;
  contract_id: string;
  instrument_id: number;
  amount: string;
  template: string;
  lock_holders: string[] | null;
  lock_expires_at: bigint | null;
  lock_expires_after: bigint | null;
  lock_context: string | null;
  created_update_id: string;
  created_record_time: bigint;
  archived_update_id: string | null;
  archived_record_time: bigint | null;
}

export interface IngestionStreamTable {
  treasury_id: number;
  epoch: WithDefault<number>;
  participant_id: string | null;
  ledger_offset: WithDefault<bigint>;
  verified_update_id: string | null;
  verified_offset: bigint | null;
  updates_count: WithDefault<bigint>;
  fencing_token: WithDefault<bigint>;
  status: WithDefault<'STARTING' | 'RUNNING' | 'HALTED'>;
  status_reason: string | null;
  observed_at: bigint | null;
}

export interface InstrumentTable {
  id: GeneratedAlways<number>;
  network_id: number;
  admin: string;
  instrument_id: string;
  name: string;
  is_accepted: boolean;
}

export interface InvariantCheckTable {
  id: string;
  checked_at: bigint;
  duration_ms: number;
  faults_count: bigint;
  faults: Json;
  broken_since: bigint | null;
}

export interface JournalEntryTable {
  id: GeneratedAlways<bigint>;
  cause: string;
  description: string;
  record_time: bigint;
}

export interface LeaseTable {
  name: string;
  holder: string;
  token: bigint;
  expires_at: bigint;
}

export interface LedgerUpdateTable {
  treasury_id: number;
  update_id: string;
  epoch: number;
  ledger_offset: bigint;
  record_time: bigint;
  synchronizer_id: string;
  effective_at: bigint | null;
  kind: 'TRANSACTION' | 'REASSIGNMENT' | 'TOPOLOGY';
  trace_parent: string | null;
  received: Bytes;
}

export interface MoneyFreezeTable {
  id: GeneratedAlways<bigint>;
  treasury_id: number | null;
  instrument_id: number | null;
  reason: string;
  detail: string;
  cause: string;
  opened_at: bigint;
  opened_by: string;
  lifted_at: bigint | null;
  lifted_by: string | null;
  lift_detail: string | null;
}

export interface NetworkTable {
  id: GeneratedAlways<number>;
  name: string;
}

export interface NewsChannelTable {
  name: string;
}

export interface OfferActionTable {
  id: string;
  treasury_id: number;
  instrument_id: number;
  transfer_id: string;
  choice: 'ACCEPT' | 'REJECT';
  sender: string;
  deposit_account_id: string | null;
  state: 'QUEUED' | 'IN_FLIGHT' | 'PARKED' | 'DONE' | 'ENDED';
  reason: string | null;
  detail: string | null;
  is_forced: WithDefault<boolean>;
  is_park_requested: WithDefault<boolean>;
  tries: WithDefault<number>;
  waits: WithDefault<number>;
  next_try_at: bigint;
  ended_update_id: string | null;
  requested_by: string;
  created_at: bigint;
  changed_at: bigint;
}

export interface OfferBudgetTable {
  treasury_id: number;
  scope: string;
  window_start: bigint;
  spent: number;
}

export interface OfferDecisionTable {
  id: GeneratedAlways<bigint>;
  offer_action_id: string;
  decision: 'ACCEPT' | 'REJECT' | 'RETRY_NOW' | 'PARK' | 'UNPARK';
  decided_at: bigint;
  decided_by: string;
  why: string;
  state_before: string | null;
}

export interface OfferReturnTable {
  withdrawal_id: string;
  treasury_id: number;
  instrument_id: number;
  reason: 'CANCELLED' | 'EXPIRED';
  state: 'QUEUED' | 'IN_FLIGHT' | 'PARKED' | 'DONE' | 'ENDED';
  trouble_code: string | null;
  trouble: string | null;
  tries: WithDefault<number>;
  waits: WithDefault<number>;
  next_try_at: bigint;
  created_at: bigint;
  changed_at: bigint;
}

export interface PolicyInForceTable {
  network_id: number;
  version: number;
  since: bigint;
}

export interface PolicyJudgementTable {
  proposal_id: bigint;
  person: GeneratedAlways<string>;
  decision: 'APPROVE' | 'REFUSE';
  document_hash: Bytes;
  judged_by: string;
  judged_at: bigint;
  why: string;
}

export interface PolicyProposalTable {
  id: GeneratedAlways<bigint>;
  network_id: number;
  based_on: number;
  document: string;
  document_hash: Bytes;
  why: string;
  proposed_by: string;
  proposer: GeneratedAlways<string>;
  proposed_at: bigint;
  expires_at: bigint;
}

export interface PolicyVerdictTable {
  withdrawal_id: string;
  number: number;
  policy_version: number;
  kind: 'ALLOW' | 'NEEDS' | 'DENY';
  approvals_needed: number;
  needs_screening: boolean;
  approval_seconds: number;
  reasons: Json;
  intent_hash: Bytes;
  decided_at: bigint;
  expires_at: bigint | null;
}

export interface PolicyVersionTable {
  network_id: number;
  version: number;
  proposal_id: bigint;
  enacted_at: bigint;
  effective_at: bigint;
}

export interface PoolTargetTable {
  treasury_id: number;
  instrument_id: number;
  holdings_count: number;
  holding_amount: string;
  inputs_max: number;
  changed_at: bigint;
  changed_by: string;
}

export interface PostTransferTable {
  id: string;
  network_id: number;
  client: string;
  idempotency_key: string;
  request_hash: Bytes;
  reference: string | null;
  posted_at: bigint;
}

export interface PostingTable {
  entry_id: bigint;
  line: number;
  debit_account_id: bigint;
  credit_account_id: bigint;
  instrument_id: number;
  amount: string;
}

export interface PreapprovalTable {
  treasury_id: number;
  instrument_id: number;
  tried_at: bigint;
  trouble: string | null;
  checked_at: bigint | null;
  ledger_offset: bigint | null;
  contract_id: string | null;
  provider: string | null;
  valid_from: bigint | null;
  last_renewed_at: bigint | null;
  expires_at: bigint | null;
  proposal_contract_id: string | null;
  proposal_provider: string | null;
}

export interface QuarantineTable {
  treasury_id: number;
  update_id: string;
  reason: string;
  detail: string;
  quarantined_at: bigint;
  closed_at: bigint | null;
  closed_by: string | null;
}

export interface RegistryTable {
  network_id: number;
  admin: string;
  instrument_id: string;
  strategy: 'PROXY' | 'ROTATE' | 'QUORUM';
  urls: string[];
  faults_max: WithDefault<number>;
}

export interface RegistryInstanceTable {
  process: string;
  url: string;
  state: 'WELL' | 'FAILING' | 'RESTING' | 'PROBING';
  asked: bigint;
  answered: bigint;
  failed: bigint;
  spared: bigint;
  dissented: bigint;
  rests_until: bigint | null;
  last_answer_at: bigint | null;
  last_failure_at: bigint | null;
  last_failure: string | null;
  last_dissent_at: bigint | null;
  last_dissent: string | null;
  reported_at: bigint;
}

export interface ReservationTable {
  submission_id: string;
  number: number;
  treasury_id: number;
  contract_id: string;
  is_open: boolean;
  broken_by: string | null;
}

export interface RestoredWithdrawalTable {
  withdrawal_id: string;
  cause: string;
  wanted_at: bigint | null;
  wanted_by: string | null;
  wanted_why: string | null;
}

export interface ScreeningTable {
  transfer_id: string;
  treasury_id: number;
  instrument_id: number;
  is_offer: boolean;
  state: 'WAITING' | 'PARKED' | 'ALLOWED' | 'DENIED' | 'ENDED';
  account_id: bigint;
  deposit_account_id: string | null;
  owner_decided_by: string;
  amount: string;
  memo: string | null;
  sender: string | null;
  update_id: string;
  record_time: bigint;
  held: string | null;
  tries: WithDefault<number>;
  next_try_at: bigint | null;
  last_error: string | null;
  case_id: string | null;
  reason: string | null;
  opened_at: bigint;
  decided_at: bigint | null;
  decided_by: string | null;
}

export interface SelfTransferTable {
  id: string;
  treasury_id: number;
  instrument_id: number;
  kind: 'MERGE' | 'SPLIT';
  why: 'WITHDRAWAL' | 'POOL' | 'DUST';
  amount: string;
  inputs_count: number;
  state: 'IN_FLIGHT' | 'DONE' | 'ENDED';
  reason: string | null;
  detail: string | null;
  update_id: string | null;
  created_at: bigint;
  changed_at: bigint;
}

export interface SignedHashTable {
  hash: Bytes;
  submission_id: string;
  number: number;
  scheme: number;
  requested_at: bigint;
}

export interface StreamCrashTable {
  treasury_id: number;
  is_open: boolean;
  in_flight_offset: bigint | null;
  in_flight_update: string | null;
  crashes: WithDefault<number>;
}

export interface StreamEpochTable {
  treasury_id: number;
  epoch: number;
  reason: 'BEGINNING' | 'OPENING' | 'PARTICIPANT_CHANGED' | 'OFFSETS_CHANGED' | 'RECOVERED';
  participant_id: string;
  anchor_update_id: string | null;
  anchor_offset: bigint | null;
  resumed_offset: bigint;
  previous_participant_id: string | null;
  previous_offset: bigint | null;
  detail: string;
  started_at: bigint;
}

export interface SubmissionTable {
  id: string;
  treasury_id: number;
  instrument_id: number;
  purpose: string;
  withdrawal_id: string | null;
  created_at: bigint;
  offer_action_id: string | null;
  self_transfer_id: string | null;
  offer_return_id: string | null;
}

export interface SubmissionBudgetTable {
  treasury_id: number;
  unit: 'SUBMISSIONS' | 'TRAFFIC_BYTES';
  level: bigint;
  filled_at: bigint;
}

export interface SubmissionPauseTable {
  treasury_id: number;
  code: string;
  detail: string;
  since: bigint;
  paused_until: bigint;
  refusals: number;
}

export interface SynchronizerTimeTable {
  treasury_id: number;
  synchronizer_id: string;
  record_time: bigint;
}

export interface TokenTable {
  instrument_id: number;
  implementation: 'SPLICE_AMULET' | 'UTILITY_REGISTRY' | 'OTHER';
  packages: string[];
  credits_deposits: boolean;
  accepts_offers: boolean;
  deposit_min: string;
  pays_direct: boolean;
  pays_offers: boolean;
  offer_validity_seconds: number;
  version: WithDefault<number>;
  onboarded_at: bigint;
  onboarded_by: string;
  pinned_at: bigint | null;
  pinned_name: string | null;
  pinned_symbol: string | null;
  pinned_decimals: number | null;
  registry_tried_at: bigint | null;
  registry_checked_at: bigint | null;
  registry_trouble: string | null;
  registry_differs: ColumnType<JsonValue, string | null | undefined, string | null>;
  packages_checked_at: bigint | null;
  packages_missing: ColumnType<JsonValue, string | null | undefined, string | null>;
  packages_trouble: string | null;
  return_fee: WithDefault<string>;
}

export interface TokenChangeTable {
  id: GeneratedAlways<bigint>;
  instrument_id: number;
  action: 'ADDED' | 'POLICY' | 'REGISTRY' | 'PINNED' | 'FROZEN' | 'ENABLED';
  changed_at: bigint;
  changed_by: string;
  why: string;
  before: ColumnType<JsonValue, string | null | undefined, string | null>;
  after: Json;
}

export interface TrafficReadingTable {
  network_id: number;
  participant: string;
  read_at: bigint;
  total_consumed: bigint;
  total_limit: bigint;
  claimed: WithDefault<bigint>;
}

export interface TransferTable {
  treasury_id: number;
  update_id: string;
  rank: number;
  id: string;
  kind: 'DIRECT' | 'OFFER' | 'MERGE' | 'MINT' | 'BURN' | 'UNEXPLAINED' | 'OPENING';
  direction: 'IN' | 'OUT' | 'SELF';
  status: 'PENDING' | 'COMPLETED' | 'REJECTED' | 'WITHDRAWN' | 'EXPIRED' | 'FAILED';
  instrument_id: number;
  amount: string;
  holdings_delta: string;
  counterparty: string | null;
  memo: string | null;
  transfer_object: ColumnType<JsonValue, string | null | undefined, string | null>;
  record_time: bigint;
  concluded_update_id: string | null;
  concluded_record_time: bigint | null;
}

export interface TransferInstructionTable {
  treasury_id: number;
  contract_id: string;
  original_contract_id: string;
  transfer_id: string;
  direction: 'IN' | 'OUT' | 'SELF';
  status: 'OPEN' | 'ACCEPTED' | 'REJECTED' | 'WITHDRAWN' | 'EXPIRED' | 'REPLACED' | 'FAILED';
  instrument_id: number;
  amount: string;
  sender: string;
  receiver: string;
  memo: string | null;
  requested_at: bigint;
  execute_before: bigint;
  created_update_id: string;
  created_record_time: bigint;
  ended_update_id: string | null;
  ended_record_time: bigint | null;
}

export interface TreasuryPartyTable {
  id: GeneratedAlways<number>;
  network_id: number;
  party: string;
  name: string;
}

export interface VerificationTable {
  treasury_id: number;
  tried_at: bigint;
  trouble: string | null;
  checked_at: bigint | null;
  epoch: number | null;
  ledger_offset: bigint | null;
  duration_ms: number | null;
  is_equal: boolean | null;
  is_in_doubt: boolean | null;
  holdings_count: bigint | null;
  offers_count: bigint | null;
  others: ColumnType<JsonValue, string | null | undefined, string | null>;
  others_count: bigint | null;
}

export interface VerificationInstrumentTable {
  treasury_id: number;
  instrument_id: number;
  on_ledger: string;
  in_holdings: string;
  in_books: string;
  contracts_count: bigint;
  differences: Json;
  differing_count: bigint;
}

export interface WithdrawalTable {
  id: string;
  network_id: number;
  client: string;
  idempotency_key: string;
  request_hash: Bytes;
  account_id: bigint;
  treasury_id: number;
  instrument_id: number;
  receiver: string;
  amount: string;
  memo: string | null;
  state: 'REQUESTED' | 'AWAITING_APPROVAL' | 'QUEUED' | 'IN_FLIGHT' | 'OFFERED' | 'UNRESOLVED' | 'REJECTED' | 'CANCELLED' | 'FAILED' | 'RETURNED' | 'COMPLETED';
  is_cancel_requested: WithDefault<boolean>;
  failure_code: string | null;
  failure_detail: string | null;
  transfer_id: string | null;
  update_id: string | null;
  created_at: bigint;
  changed_at: bigint;
  deadline: bigint | null;
  doubt_code: string | null;
  doubt_detail: string | null;
  verdict: WithDefault<number>;
  sealed_origin: string | null;
  recovered_at: bigint | null;
  request_id: string | null;
}

export interface WithdrawalApprovalTable {
  id: GeneratedAlways<bigint>;
  withdrawal_id: string;
  verdict: number;
  person: GeneratedAlways<string>;
  decision: 'APPROVE' | 'REFUSE';
  intent_hash: Bytes;
  decided_by: string;
  decided_at: bigint;
  expires_at: bigint;
  why: string;
}

export interface WithdrawalResolutionTable {
  id: GeneratedAlways<bigint>;
  withdrawal_id: string;
  outcome: 'COMPLETED' | 'RETURNED' | 'FAILED';
  evidence: string;
  update_id: string | null;
  state: 'AWAITING_APPROVAL' | 'DONE' | 'REFUSED';
  state_before: string;
  requested_by: string;
  requested_at: bigint;
  decided_by: string | null;
  decided_at: bigint | null;
  decided_reason: string | null;
}

export interface WithdrawalScreeningTable {
  withdrawal_id: string;
  intent_hash: Bytes;
  state: 'WAITING' | 'PARKED' | 'ALLOWED' | 'DENIED' | 'ENDED';
  tries: WithDefault<number>;
  next_try_at: bigint | null;
  last_error: string | null;
  case_id: string | null;
  reason: string | null;
  opened_at: bigint;
  decided_at: bigint | null;
  decided_by: string | null;
}

export interface WithdrawalStopTable {
  id: GeneratedAlways<bigint>;
  withdrawal_id: string;
  kind: 'HOLD' | 'PARK';
  why: string;
  set_at: bigint;
  set_by: string;
  released_at: bigint | null;
  released_by: string | null;
  release_why: string | null;
}

export interface DB {
  account: AccountTable;
  account_balance: AccountBalanceTable;
  api_key: ApiKeyTable;
  api_key_version: ApiKeyVersionTable;
  attempt: AttemptTable;
  attribution: AttributionTable;
  audit_chain: AuditChainTable;
  audit_entry: AuditEntryTable;
  audit_outbox: AuditOutboxTable;
  customer_balance: CustomerBalanceTable;
  customer_books: CustomerBooksTable;
  database_restore: DatabaseRestoreTable;
  database_role: DatabaseRoleTable;
  deposit_account: DepositAccountTable;
  deposit_screening: DepositScreeningTable;
  desk_case: DeskCaseTable;
  desk_decision: DeskDecisionTable;
  event: EventTable;
  event_log: EventLogTable;
  event_log_epoch: EventLogEpochTable;
  event_outbox: EventOutboxTable;
  halt: HaltTable;
  history_gap: HistoryGapTable;
  holding: HoldingTable;
  ingestion_stream: IngestionStreamTable;
  instrument: InstrumentTable;
  invariant_check: InvariantCheckTable;
  journal_entry: JournalEntryTable;
  lease: LeaseTable;
  ledger_update: LedgerUpdateTable;
  money_freeze: MoneyFreezeTable;
  network: NetworkTable;
  news_channel: NewsChannelTable;
  offer_action: OfferActionTable;
  offer_budget: OfferBudgetTable;
  offer_decision: OfferDecisionTable;
  offer_return: OfferReturnTable;
  policy_in_force: PolicyInForceTable;
  policy_judgement: PolicyJudgementTable;
  policy_proposal: PolicyProposalTable;
  policy_verdict: PolicyVerdictTable;
  policy_version: PolicyVersionTable;
  pool_target: PoolTargetTable;
  post_transfer: PostTransferTable;
  posting: PostingTable;
  preapproval: PreapprovalTable;
  quarantine: QuarantineTable;
  registry: RegistryTable;
  registry_instance: RegistryInstanceTable;
  reservation: ReservationTable;
  restored_withdrawal: RestoredWithdrawalTable;
  screening: ScreeningTable;
  self_transfer: SelfTransferTable;
  signed_hash: SignedHashTable;
  stream_crash: StreamCrashTable;
  stream_epoch: StreamEpochTable;
  submission: SubmissionTable;
  submission_budget: SubmissionBudgetTable;
  submission_pause: SubmissionPauseTable;
  synchronizer_time: SynchronizerTimeTable;
  token: TokenTable;
  token_change: TokenChangeTable;
  traffic_reading: TrafficReadingTable;
  transfer: TransferTable;
  transfer_instruction: TransferInstructionTable;
  treasury_party: TreasuryPartyTable;
  verification: VerificationTable;
  verification_instrument: VerificationInstrumentTable;
  withdrawal: WithdrawalTable;
  withdrawal_approval: WithdrawalApprovalTable;
  withdrawal_resolution: WithdrawalResolutionTable;
  withdrawal_screening: WithdrawalScreeningTable;
  withdrawal_stop: WithdrawalStopTable;
}

/**
 * What a customer may see: the fields of this list and no other, of what is his. A field that is not here is refused to customers, so that one that somebody adds tomorrow tells nobody anything until it is put here on
 * purpose.
 *
 * Left out on purpose: treasuries, holdings, inputs, attempts, what the policy and people say, notes and names of the exchange's own staff, and every text that was written for them.
 */
import type { Account } from '../read/accounts.ts';

const PAGE = ['edges', 'nodes', 'pageInfo'] as const;
const EDGE = ['cursor', 'node'] as const;

/** By type. */
export const CUSTOMER_FIELDS: Readonly<Record<string, readonly string[]>> = {
  Query: [
    'account',
    'accountJournal',
    'accounts',
    'depositAccounts',
    'freshness',
    'instruments',
    'node',
    'nodes',
    'transfer',
    'transfers',
    'viewer',
    'withdrawal',
    'withdrawalPreflight',
    'withdrawals',
  ],
  Subscription: ['withdrawalUpdated'],
  Viewer: ['account', 'client', 'expiresAt', 'name', 'scopes'],
  Freshness: ['ageMs', 'position', 'recordTime', 'state'],
  PageInfo: ['endCursor', 'hasNextPage', 'hasPreviousPage', 'startCursor'],
  Account: ['balances', 'customer', 'depositAccounts', 'funds', 'held', 'id', 'network'],
  AccountConnection: PAGE,
  AccountEdge: EDGE,
  AccountBalance: ['amount', 'instrument'],
  AccountFunds: ['available', 'held', 'inWithdrawals', 'instrument', 'total'],
  AccountJournalConnection: PAGE,
  AccountJournalEdge: EDGE,
  AccountJournalEntry: ['amount', 'cause', 'causeId', 'instrument', 'recordTime'],
  Instrument: ['admin', 'id', 'instrumentId', 'isAccepted', 'name', 'network'],
  InstrumentConnection: PAGE,
  InstrumentEdge: EDGE,
  DepositAccount: [
    'account',
    'addresses',
    'createdAt',
    'depositAccountId',
    'id',
    'memo',
    'network',
    'replacedBy',
    'state',
  ],
  DepositAccountConnection: PAGE,
  DepositAccountEdge: EDGE,
  DepositAddress: ['memo', 'party', 'qrPayload'],
  Transfer: [
    'amount',
    'attribution',
    'concludedAt',
    'concludedUpdateId',
    'counterparty',
    'direction',
    'id',
    'instrument',
    'kind',
    'memo',
    'recordTime',
    'status',
    'transferId',
    'updateId',
  ],
  TransferConnection: PAGE,
  TransferEdge: EDGE,
  Attribution: ['account', 'depositAccount', 'recordTime'],
  Withdrawal: [
    'account',
    'amount',
    'changedAt',
    'createdAt',
    'deadline',
    'decidableBy',
    'failure',
    'id',
    'instrument',
    'isCancelRequested',
    'isFinal',
    'memo',
    'offer',
    'receiver',
    'state',
    'transfer',
    'updateId',
    'withdrawalId',
  ],
  WithdrawalConnection: PAGE,
  WithdrawalEdge: EDGE,
  WithdrawalFailure: ['code'],
  WithdrawalOffer: ['contractId', 'executeBefore', 'offeredAt', 'returnFee', 'status'],
  WithdrawalUpdate: [
    'changedAt',
    'cursor',
    'eventId',
    'failureCode',
    'isFinal',
    'state',
    'transferId',
    'updateId',
    'withdrawal',
    'withdrawalId',
  ],
  WithdrawalPreflight: ['fee', 'outlook', 'preapproval', 'recordTime', 'returnFee', 'transferKind'],
  PreflightPreapproval: ['expiresAt', 'outlastsTarget'],
};

/** Types whose objects are somebody's, and whose. Null: it cannot be told from the object, which is then nobody's. */
export const OWNERS: Readonly<Record<string, (row: unknown) => Account | null>> = {
  Account: (row) => accountIn(row),
  DepositAccount: (row) => accountIn({ network: fieldOf(row, 'network'), owner: fieldOf(row, 'account') }),
  Withdrawal: (row) => accountIn(fieldOf(row, 'account')),
  Transfer: (row) => accountIn(fieldOf(fieldOf(row, 'attribution'), 'account')),
} satisfies Record<string, (row: unknown) => Account | null>;

/** Fields whose object is his because what holds it is: what pays a withdrawal is attributed to nobody. */
export const INHERITED: ReadonlySet<string> = new Set(['Withdrawal.transfer']);

/** What `node` gives to customers beside what is theirs. */
export const OPEN_NODES: ReadonlySet<string> = new Set(['Instrument']);

function accountIn(value: unknown): Account | null {
  const network = fieldOf(value, 'network');
  const owner = fieldOf(value, 'owner');
  return typeof network === 'string' && typeof owner === 'string' ? { network, owner } : null;
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

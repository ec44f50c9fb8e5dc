/** Who asks. Every request has a principal, and every field demands a scope of it. */
import { EVERYTHING, type Reach } from '../read/reach.ts';

/** What a principal may do. A closed list, so that a schema or a key that names another one fails at start. */
export const SCOPES = [
  'read',
  'subscribe',
  'deposits',
  'desk',
  'withdrawals',
  'books',
  'approve',
  'operate',
  'audit',
  'admin',
  'own',
] as const;

export type Scope = (typeof SCOPES)[number];

export const SCOPE_MEANINGS: Readonly<Record<Scope, string>> = {
  read: 'query everything but what operators see',
  subscribe: 'open subscriptions',
  deposits: 'register deposit accounts',
  desk: 'decide about deposits that name nobody',
  withdrawals: 'have customers paid, and cancel that',
  books: 'move amounts between accounts of customers and the house, where Sluice keeps the balances',
  approve: 'approve and refuse what others ask for: withdrawals, and changes of the policy',
  operate: 'see and do what a treasury operator does',
  audit: 'see everything, what operators see as well, and change nothing',
  admin: 'make and revoke keys of this API',
  own: 'see one customer’s account, and nothing else',
};

/** Everything there is, without what only makes sense alone: what the developer may do. */
export const DEVELOPER_SCOPES: readonly Scope[] = SCOPES.filter((scope) => scope !== 'own' && scope !== 'audit');

export type Principal = {
  /** Stands in logs and beside what the principal did. */
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
  /** Whose idempotency keys its requests bring: the same for every key and token of one client. */
  readonly client: string;
  /** What of all rows it may see. */
  readonly reach: Reach;
  /** When its credential ends, in microseconds of the wall clock; null: not by itself. */
  readonly expiresAt: bigint | null;
};

/** A principal that sees everything its scopes allow, for as long as its credential stands. */
export function principalOf(name: string, scopes: Iterable<Scope>, more: Partial<Principal> = {}): Principal {
  return { name, client: name, scopes: new Set(scopes), reach: EVERYTHING, expiresAt: null, ...more };
}

export function isScope(text: string): text is Scope {
  return SCOPES.some((scope) => scope === text);
}

/** Scopes by which something is changed. */
const CHANGING: readonly Scope[] = ['deposits', 'desk', 'withdrawals', 'books', 'approve', 'operate', 'admin'];

/**
 * What scopes cannot be meant together. Null: they can.
 *
 *   withdrawals, approve  who has customers paid is not who approves it
 *   audit                 changes nothing, so it stands with nothing that does
 *   own                   is a customer's, who has nothing else
 */
export function conflictOf(scopes: Iterable<Scope>): string | null {
  const given = new Set(scopes);
  if (given.has('withdrawals') && given.has('approve')) {
    return 'may have the scope withdrawals or approve, not both: who has customers paid is not who approves it';
  }
  if (given.has('audit') && CHANGING.some((scope) => given.has(scope))) {
    return 'may not have the scope audit with one that changes something';
  }
  if (given.has('own') && given.size > 1) return 'may not have the scope own with another: it is a customer’s';
  return null;
}

/** Who asks. Every request has a principal, and every field demands a scope of it. */

/** What a principal may do. A closed list, so that a schema or a key that names another one fails at start. */
export const SCOPES = ['read', 'subscribe', 'deposits', 'desk', 'withdrawals', 'approve', 'operate'] as const;

export type Scope = (typeof SCOPES)[number];

export const SCOPE_MEANINGS: Readonly<Record<Scope, string>> = {
  read: 'query everything but what operators see',
  subscribe: 'open subscriptions',
  deposits: 'register deposit accounts',
  desk: 'decide about deposits that name nobody',
  withdrawals: 'have customers paid, and cancel that',
  approve: 'approve and refuse what others ask for: withdrawals, and changes of the policy',
  operate: 'see and do what a treasury operator does',
};

export type Principal = {
  /** Stands in logs and beside what the principal did. */
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
};

export function isScope(text: string): text is Scope {
  return SCOPES.some((scope) => scope === text);
}

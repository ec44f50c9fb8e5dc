/** Which scopes a principal has, as fields demand them. */
import type { Principal, Scope } from './principal.ts';

/**
 * A customer (reach of one account) has `own` in the place of `read` and `subscribe`, and only on the fields that customer-view.ts names: everything else is refused before any scope is looked at. An auditor sees what the
 * desk and operators see; that those scopes let him change nothing is refused there as well.
 */
export function grantsOf({ scopes, reach }: Principal): { [Name in Scope]: boolean } {
  const isCustomer = reach.kind === 'ACCOUNT';
  const has = (scope: Scope): boolean => !isCustomer && scopes.has(scope);
  const isOwn = isCustomer && scopes.has('own');
  const isAudit = has('audit');
  return {
    read: has('read') || isOwn,
    subscribe: has('subscribe') || isOwn,
    deposits: has('deposits'),
    desk: has('desk') || isAudit,
    withdrawals: has('withdrawals'),
    books: has('books'),
    approve: has('approve'),
    operate: has('operate') || isAudit,
    audit: isAudit,
    admin: has('admin'),
    own: isOwn,
  };
}

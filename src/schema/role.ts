/** Roles: names for the sets of scopes that people and machines have, so that an identity provider need not know scopes. */
import type { Scope } from './principal.ts';

export const ROLES = ['customer', 'service', 'operator', 'approver', 'auditor', 'admin'] as const;

export type Role = (typeof ROLES)[number];

/** Nobody can have customers paid and approve it: no role has both `withdrawals` and `approve`. */
export const ROLE_SCOPES: Readonly<Record<Role, readonly Scope[]>> = {
  customer: ['own'],
  service: ['read', 'subscribe', 'deposits', 'withdrawals', 'books'],
  operator: ['read', 'subscribe', 'deposits', 'desk', 'operate'],
  approver: ['read', 'subscribe', 'approve'],
  auditor: ['read', 'subscribe', 'audit'],
  admin: ['read', 'subscribe', 'deposits', 'desk', 'operate', 'admin'],
};

export const ROLE_MEANINGS: Readonly<Record<Role, string>> = {
  customer: 'one customer of the exchange: his own account and nothing else',
  service: 'a service of the exchange: registers deposit accounts, has customers paid, follows what happens',
  operator: 'a person who runs the treasury: the desk, tokens, halts, what is stuck',
  approver: 'a person who approves withdrawals and changes of the policy',
  auditor: 'a person who sees everything and changes nothing',
  admin: 'a person who runs the installation: what operators do, and the keys of this API',
};

export function isRole(text: string): text is Role {
  return ROLES.some((role) => role === text);
}

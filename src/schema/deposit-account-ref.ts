/** The reference to `DepositAccount`, which other types point at. */
import type { DepositAccount } from '../deposits/deposit-accounts.ts';
import { builder } from './builder.ts';

export const DepositAccountRef = builder.objectRef<DepositAccount>('DepositAccount');

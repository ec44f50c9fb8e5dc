/** Every mistake that a test finds by itself. */
import { CUSTODY_MISTAKES } from './custody-mistakes.ts';
import type { DirectMistake } from './direct-mistake.ts';
import { LEDGER_MISTAKES } from './ledger-mistakes.ts';
import { POLICY_MISTAKES } from './policy-mistakes.ts';
import { SERVICE_MISTAKES } from './service-mistakes.ts';
import { WITHDRAWAL_MISTAKES } from './withdrawal-mistakes.ts';

export const DIRECT_MISTAKES: readonly DirectMistake[] = [
  ...POLICY_MISTAKES,
  ...WITHDRAWAL_MISTAKES,
  ...CUSTODY_MISTAKES,
  ...LEDGER_MISTAKES,
  ...SERVICE_MISTAKES,
];

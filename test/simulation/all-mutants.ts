/** Every mistake that the simulation must find. */
import { MONEY_MUTANTS } from './money-mutants.ts';
import { INGESTION_MUTANTS, type Mutant } from './mutants.ts';
import { OFFER_MUTANTS } from './offer-mutants.ts';
import { REFUND_MUTANTS } from './refund-mutants.ts';
import { REST_MUTANTS } from './rest-mutants.ts';
import { SCREENING_MUTANTS } from './screening-mutants.ts';

export const MUTANTS: readonly Mutant[] = [
  ...INGESTION_MUTANTS,
  ...MONEY_MUTANTS,
  ...OFFER_MUTANTS,
  ...REFUND_MUTANTS,
  ...REST_MUTANTS,
  ...SCREENING_MUTANTS,
];

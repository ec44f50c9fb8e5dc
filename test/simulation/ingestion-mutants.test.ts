import { testThatFound } from './find-mutants.ts';
import { INGESTION_MUTANTS } from './mutants.ts';

testThatFound(INGESTION_MUTANTS);

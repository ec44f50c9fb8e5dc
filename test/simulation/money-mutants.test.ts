import { testThatFound } from './find-mutants.ts';
import { MONEY_MUTANTS } from './money-mutants.ts';

testThatFound(MONEY_MUTANTS);

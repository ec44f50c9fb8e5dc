import pg from 'pg';
import { expect, test } from 'vitest';
import { PermanentError } from '../env/errors.ts';
import { databaseErrorOf, isConnectionSpent } from './errors.ts';

function answer(sqlState: string): pg.DatabaseError {
  const error = new pg.DatabaseError('said the server', 0, 'error');
  error.code = sqlState;
  return error;
}

test.each([
  ['08006', 'DB_UNAVAILABLE', true, true],
  ['08007', 'DB_OUTCOME_UNKNOWN', true, true],
  ['22003', 'DB_STATEMENT', false, false],
  ['23505', 'DB_CONSTRAINT', false, false],
  ['25006', 'DB_READ_ONLY', true, true],
  ['25P03', 'DB_TIMEOUT', true, true],
  ['28P01', 'DB_REFUSED', false, true],
  ['3D000', 'DB_REFUSED', false, true],
  ['40001', 'DB_CONFLICT', true, false],
  ['40003', 'DB_OUTCOME_UNKNOWN', true, true],
  ['40P01', 'DB_CONFLICT', true, false],
  ['42501', 'DB_DENIED', false, false],
  ['53100', 'DB_EXHAUSTED', true, false],
  ['55P03', 'DB_LOCK_TIMEOUT', true, false],
  ['57014', 'DB_TIMEOUT', true, false],
  ['57P01', 'DB_UNAVAILABLE', true, true],
  ['57P03', 'DB_UNAVAILABLE', true, true],
  ['XX001', 'DB_CORRUPT', false, true],
])('SQLSTATE %s is %s, retryable: %s, ends the connection: %s', (sqlState, code, retryable, isSpent) => {
  const cause = answer(sqlState);

  expect(databaseErrorOf(cause)).toMatchObject({ code, retryable, cause, facts: { sqlState } });
  expect(isConnectionSpent(cause)).toBe(isSpent);
});

test.each([
  [Object.assign(new Error('connect ECONNREFUSED'), { syscall: 'connect' }), 'DB_UNAVAILABLE'],
  [new AggregateError([]), 'DB_UNAVAILABLE'],
  [new Error('Connection terminated unexpectedly'), 'DB_UNAVAILABLE'],
  [new Error('Client has encountered a connection error and is not queryable'), 'DB_UNAVAILABLE'],
  [new Error('Query read timeout'), 'DB_TIMEOUT'],
  [new Error('timeout exceeded when trying to connect'), 'DB_TIMEOUT'],
])('without an answer: %s is %s, and the connection is not used again', (error, code) => {
  expect(databaseErrorOf(error)).toMatchObject({ code, retryable: true });
  expect(isConnectionSpent(error)).toBe(true);
});

test('an error of ours stays as it is', () => {
  const error = new PermanentError('OURS', 'ours');

  expect(databaseErrorOf(error)).toBe(error);
});

/** Withdrawals through the API: a database with one treasury and one accepted instrument, and the calls that tests make of it. */
import { expect } from 'vitest';
import { systemClock } from '../../src/env/system.ts';
import type { WithdrawalEvent } from '../../src/withdrawals/withdrawal-state.ts';
import { applyWithdrawalEvent, type ChangeFacts } from '../../src/withdrawals/withdrawal-store.ts';
import { startApi, type TestApi } from './api.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { eventually } from './eventually.ts';
import { AMULET_ADMIN, createRows, type Rows } from './rows.ts';

export const RECEIVER = `bob::1220${'ab'.repeat(32)}`;

/** A whole input but for its key. */
export const INPUT = {
  account: 'alice',
  instrumentAdmin: AMULET_ADMIN,
  instrumentId: 'Amulet',
  receiver: RECEIVER,
  amount: '12.5',
};

export const CREATE = `mutation ($input: CreateWithdrawalInput!) {
  createWithdrawal(input: $input) {
    __typename
    ... on CreateWithdrawalPayload {
      replayed
      withdrawal {
        id withdrawalId state isFinal isCancelRequested receiver amount memo createdBy idempotencyKey updateId decidableBy
        account { customer } treasury { party } instrument { admin instrumentId } failure { code } transfer { id }
        attempts { number } definiteFailureProof { explanation }
      }
    }
    ... on Error { code message why fix retryable }
    ... on WithdrawalInputError { field }
  }
}`;

export const CANCEL = `mutation ($withdrawalId: String!) {
  cancelWithdrawal(input: { withdrawalId: $withdrawalId }) {
    __typename
    ... on CancelWithdrawalPayload { withdrawal { state isFinal isCancelRequested } }
    ... on Error { code message why fix retryable }
  }
}`;

/** Headers of a development principal. */
export const as = (name: string) => ({ authorization: `Bearer dev-${name}` });

// biome-ignore lint/suspicious/noExplicitAny: answers are looked into by tests, which fail where they are not what they seem.
type Looked = any;

export type WithdrawalApi = {
  readonly database: TestDatabase;
  readonly api: TestApi;
  readonly rows: Rows;
  /** Its row’s number. */
  readonly treasury: number;
  /** {@link INPUT} with these fields changed; @returns the payload or the refusal. */
  create(input: Record<string, unknown>, headers?: Record<string, string>): Promise<Looked>;
  /** Creates one; @returns its `wd_…`. */
  idOf(idempotencyKey: string, input?: Record<string, unknown>): Promise<string>;
  cancel(id: string, headers?: Record<string, string>): Promise<Looked>;
  /** What ingestion and automation would do to it. */
  apply(id: string, event: WithdrawalEvent, facts?: Partial<ChangeFacts>): Promise<void>;
  bookingsOf(id: string): Promise<readonly { readonly cause: string }[]>;
  /** Until every event is in the log and the server has seen it. */
  untilSequenced(): Promise<void>;
  close(): Promise<void>;
};

export async function startWithdrawalApi(): Promise<WithdrawalApi> {
  const database = await createTestDatabase();
  const rows = createRows(database.db);
  const treasury = await rows.treasury();
  await rows.instrument();
  await rows.instrument('Spam', false);
  await rows.stream({});
  await rows.update('first');
  // A small ring, so that resuming goes through the database as well.
  const api = await startApi(database, { ringCountMax: 8 });

  async function create(input: Record<string, unknown>, headers: Record<string, string> = {}): Promise<Looked> {
    const { data, errors } = await api.query(CREATE, { input: { ...INPUT, ...input } }, headers);
    expect(errors).toBeUndefined();
    return data.createWithdrawal;
  }

  return {
    database,
    api,
    rows,
    treasury,
    create,
    idOf: async (idempotencyKey, input = {}) => (await create({ idempotencyKey, ...input })).withdrawal.withdrawalId,
    cancel: async (id, headers = {}) => {
      const { data, errors } = await api.query(CANCEL, { withdrawalId: id }, headers);
      expect(errors).toBeUndefined();
      return data.cancelWithdrawal;
    },
    apply: async (id, event, facts = {}) => {
      const done = await database.db
        .transaction()
        .execute(
          async (tx) => await applyWithdrawalEvent(tx, id, event, { nowMicros: systemClock.nowMicros(), ...facts }),
        );
      expect(done.kind).not.toBe('ALARM');
    },
    bookingsOf: async (id) =>
      await database.db
        .selectFrom('journal_entry')
        .select('cause')
        .where('cause', 'like', `withdrawal:${id}:%`)
        .orderBy('cause')
        .execute(),
    untilSequenced: async () =>
      await eventually(async () => {
        expect(await database.db.selectFrom('event_outbox').select('seq').execute()).toEqual([]);
        const end = await database.db.selectFrom('event_log').select('last_position').executeTakeFirstOrThrow();
        expect(api.log.tail.head().position).toBe(end.last_position);
      }),
    close: async () => {
      await api.stop();
      await database.close();
    },
  };
}

/**
 * Requests that come at the same time, accepted in one transaction: a few statements for all of them, one commit, one notification. Only what is plain goes this way: a key that is new, a treasury that is
 * named or the only one, a policy that allows it without counting others. Whatever else there is to say of a request (that it was made before, that it is refused, that people are to be asked), and whatever goes wrong with a
 * set, is found out by asking for that request alone; nothing of it was written then.
 *
 * Two sets are under way at most, so that one that waits for a lock does not hold up everybody; who comes meanwhile is gathered for the next.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { sql } from 'kysely';
import type { ConfiguredBooks } from '../books/books-mode.ts';
import { demandFunds, demandWholeBooks } from '../books/customer-funds.ts';
import { type AccountRef, houseAccount, openAccounts, postEntries } from '../books/journal.ts';
import { type Acting, actingNow } from '../db/acting.ts';
import { CancelledError, currentSignal } from '../db/cancellation.ts';
import type { Database, Transaction } from '../db/connection.ts';
import { demandKnownLog, type LogMemory } from '../db/log-history.ts';
import { relationOf } from '../db/row-arrays.ts';
import type { Clock, Micros } from '../env/clock.ts';
import { RetryableError } from '../env/errors.ts';
import { judgePlain } from '../policy/judging.ts';
import { applyFirstLeaves, FIRST_VERDICT } from '../policy/request-verdict.ts';
import { formatAmount } from '../tokens/amount.ts';
import { lookAtPlain, type PlainTarget } from './request-look.ts';
import { hashOf, judgeableOf, requestEvent, sealOf, type WithdrawalRequest } from './request-terms.ts';
import type { OriginSeal } from './transfer-metadata.ts';

const SETS_MAX = 2;
/** Two events each, and what numbers events at a commit takes 64. */
const COUNT_MAX = 16;

export type Together<Result> = (id: string, request: WithdrawalRequest) => Promise<Result>;

export type TogetherOptions<Result> = {
  readonly db: Database;
  readonly clock: Clock;
  readonly network: string;
  readonly seal?: Pick<OriginSeal, 'seal'>;
  readonly log?: LogMemory;
  readonly books: ConfiguredBooks;
  /** What a request comes to by itself. Called as its asker. */
  readonly alone: (request: WithdrawalRequest) => Promise<Result>;
  /** What is answered to one that was accepted with others. */
  readonly accepted: (id: string) => Result;
};

type Asked = {
  readonly id: string;
  readonly request: WithdrawalRequest;
  /** Who asks, for the audit; null: nobody told. */
  readonly acting: Acting | null;
  readonly signal: AbortSignal | undefined;
  /** True: it is there. False: it is to be asked for alone. */
  readonly resolve: (isAccepted: boolean) => void;
  readonly reject: (error: unknown) => void;
};

export function createTogether<Result>(options: TogetherOptions<Result>): Together<Result> {
  const { alone, accepted } = options;
  // A set belongs to nobody: neither the signal nor the name of one asker is that of the others.
  const asNobody = AsyncLocalStorage.snapshot();
  const waiting: Asked[] = [];
  let running = 0;

  const begin = (): void => {
    while (running < SETS_MAX && waiting.length > 0) {
      const set = takeSet(waiting);
      running += 1;
      asNobody(() => serve(options, set)).finally(() => {
        running -= 1;
        begin();
      });
    }
  };
  return async (id, request) => {
    const isAccepted = await new Promise<boolean>((resolve, reject) => {
      waiting.push({ id, request, acting: actingNow(), signal: currentSignal(), resolve, reject });
      // Whoever asks in the same breath is of the same set.
      queueMicrotask(begin);
    });
    return isAccepted ? accepted(id) : await alone(request);
  };
}

/** Takes the next set from the front: each key once, and only such as all say who asks, or none. */
function takeSet(waiting: Asked[]): readonly Asked[] {
  const set: Asked[] = [];
  const ids = new Set<string>();
  for (let next = waiting[0]; next !== undefined && set.length < COUNT_MAX; next = waiting[0]) {
    if (ids.has(next.id) || (next.acting === null) !== ((set[0] ?? next).acting === null)) break;
    ids.add(next.id);
    set.push(next);
    waiting.shift();
  }
  return set;
}

/** Tells each of `set` what became of it. Never throws. */
async function serve<Result>(options: TogetherOptions<Result>, set: readonly Asked[]): Promise<void> {
  const wanted = set.filter(({ signal, reject }) => {
    if (signal?.aborted === true) reject(new CancelledError());
    return signal?.aborted !== true;
  });
  if (wanted.length === 0) return;
  try {
    const done = await options.db.transaction().execute(async (tx) => await acceptPlain(tx, options, wanted));
    for (const { id, resolve } of wanted) resolve(done.has(id));
  } catch (error) {
    // Of several it may be any that is at fault, and of a conflict none is.
    const isEverybodys = error instanceof RetryableError && !OF_ONE.has(error.code);
    for (const { resolve, reject } of wanted) {
      if (isEverybodys) reject(error);
      else resolve(false);
    }
  }
}

/** Books that are behind keep what is new waiting, and not who asks again for what was made before: he is answered, and his withdrawal goes on by that. */
const OF_ONE: ReadonlySet<string> = new Set(['DB_CONFLICT', 'DB_LOCK_TIMEOUT', 'DB_TIMEOUT', 'BOOKS_BEHIND']);

/** @returns the ids of those that were accepted; of the others nothing was written. @throws where one of them spoils it for all. */
async function acceptPlain<Result>(
  tx: Transaction,
  { clock, network, log, books, seal }: TogetherOptions<Result>,
  asked: readonly Asked[],
): Promise<ReadonlySet<string>> {
  if (log !== undefined) await demandKnownLog(tx, log);
  await tellWhoActs(tx, asked);
  const targets = await lookAtPlain(tx, network, asked);
  const plain = asked.flatMap((one) => {
    const target = targets.get(one.id);
    return target === undefined ? [] : [{ ...one, target, payer: payerOf(one.request) }];
  });
  const [first] = plain;
  if (first === undefined) return new Set();
  const { networkId } = first.target;
  const nowMicros = clock.nowMicros();
  const accounts = await openAccounts(tx, networkId, [...plain.map(({ payer }) => payer), houseAccount('WITHDRAWALS')]);
  const judgeables = plain.map(({ request, payer, target }) =>
    judgeableOf({ ...request, treasuryParty: target.treasuryParty }, payer, { ...target, accountId: accounts(payer) }),
  );
  const judged = await judgePlain(tx, networkId, judgeables, nowMicros);
  const leaves = new Map(judged.flatMap((verdict, index) => withId(plain[index]?.id, verdict)));
  const rows = plain
    .filter(({ id }) => leaves.has(id))
    .map((one) => ({ ...one, accountId: accounts(one.payer), sealed: sealedOf(seal, one) }));
  const inserted = await insertRequests(tx, rows, nowMicros);
  const fresh = rows.filter(({ id }) => inserted.has(id));
  if (fresh.length === 0) return new Set();

  await demandWholeBooks(tx, networkId, books);
  await demandFunds(
    tx,
    networkId,
    fresh.map(({ accountId, request, target }) => ({
      accountId,
      account: request.account,
      instrumentKey: target.instrumentKey,
      instrument: request.instrument,
      gives: request.amount,
    })),
  );
  await postEntries(
    tx,
    networkId,
    fresh.map(({ id, payer, request, target }) => ({
      cause: `withdrawal:${id}:requested`,
      description: 'withdrawal requested',
      recordTime: nowMicros,
      lines: [
        {
          debit: payer,
          credit: houseAccount('WITHDRAWALS'),
          instrumentKey: target.instrumentKey,
          amount: request.amount,
        },
      ],
    })),
    accounts,
  );
  const given = fresh.flatMap(({ id }) => {
    const leave = leaves.get(id);
    return leave === undefined ? [] : [{ withdrawalId: id, judged: leave }];
  });
  const events = fresh.map(({ id }) => requestEvent(id, nowMicros));
  await applyFirstLeaves(tx, given, nowMicros, events);
  return inserted;
}

function withId<Value>(id: string | undefined, value: Value | null): readonly (readonly [string, Value])[] {
  return id === undefined || value === null ? [] : [[id, value]];
}

/**
 * For the audit: each row of the set is its asker's (migrations/0032). And a lock is waited for a fifth as long as elsewhere: who asks for what somebody holds waits for it alone, and keeps the others of his set, and those behind it, for
 * that much only.
 */
async function tellWhoActs(tx: Transaction, asked: readonly Asked[]): Promise<void> {
  if (asked.every(({ acting }) => acting === null)) return;
  const of = Object.fromEntries(asked.map(({ id, acting }) => [id, acting]));
  await sql`
    SELECT set_config('sluice.acting', ${JSON.stringify({ of })}, true),
      set_config('lock_timeout', (extract(epoch FROM current_setting('lock_timeout')::interval) * 200)::int::text, true)`.execute(
    tx,
  );
}

function payerOf({ account }: WithdrawalRequest): AccountRef {
  return { kind: 'CUSTOMER', owner: account };
}

type Plain = Asked & { readonly target: PlainTarget; readonly payer: AccountRef };

/** The hash of the request, in hexadecimal, and what travels with its payment. */
function sealedOf(seal: TogetherOptions<unknown>['seal'], { id, request, target, payer }: Plain) {
  const hash = hashOf({ ...request, treasuryParty: target.treasuryParty });
  return { hash: hash.toString('hex'), origin: sealOf(seal, id, request, hash, payer) };
}

/** In the order of their ids, so that two sets that share keys wait for each other and do not deadlock. @returns the ids of those that were new. */
async function insertRequests(
  tx: Transaction,
  rows: readonly (Plain & { readonly accountId: bigint; readonly sealed: ReturnType<typeof sealedOf> })[],
  nowMicros: Micros,
): Promise<ReadonlySet<string>> {
  if (rows.length === 0) return new Set();
  const values = rows.map(({ id, request, target, accountId, sealed }) => ({
    id,
    network_id: target.networkId,
    client: request.client,
    idempotency_key: request.idempotencyKey,
    request_hash: sealed.hash,
    account_id: accountId,
    treasury_id: target.treasuryId,
    instrument_id: target.instrumentKey,
    receiver: request.receiver,
    amount: formatAmount(request.amount),
    memo: request.memo,
    deadline: request.deadline ?? null,
    request_id: request.requestId ?? null,
    sealed_origin: sealed.origin,
  }));
  const { rows: inserted } = await sql<{ id: string }>`
    INSERT INTO withdrawal (id, network_id, client, idempotency_key, request_hash, account_id, treasury_id, instrument_id, receiver, amount, memo,
      deadline, request_id, sealed_origin, state, verdict, created_at, changed_at)
    SELECT id, network_id, client, idempotency_key, decode(request_hash, 'hex'), account_id, treasury_id, instrument_id, receiver, amount, memo,
      deadline, request_id, sealed_origin, 'REQUESTED', ${FIRST_VERDICT}::smallint, ${nowMicros}::bigint, ${nowMicros}::bigint
    FROM ${relationOf(REQUEST_COLUMNS, values)} AS fresh ORDER BY id
    ON CONFLICT DO NOTHING RETURNING id`.execute(tx);
  return new Set(inserted.map(({ id }) => id));
}

const REQUEST_COLUMNS = {
  id: 'text',
  network_id: 'smallint',
  client: 'text',
  idempotency_key: 'text',
  request_hash: 'text',
  account_id: 'bigint',
  treasury_id: 'integer',
  instrument_id: 'integer',
  receiver: 'text',
  amount: 'numeric',
  memo: 'text',
  deadline: 'bigint',
  request_id: 'text',
  sealed_origin: 'text',
} as const;

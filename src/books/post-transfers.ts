/**
 * What an exchange moves between its customers without the ledger: trades, fees, opening balances. One transaction books all lines or none, and announces them. The same idempotency key with the same
 * input is the same post transfer, for ever and on every replica; with another input it is refused.
 */
import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import { appendEvents } from '../db/event-log.ts';
import { demandKnownLog, type LogMemory } from '../db/log-history.ts';
import type { Clock, Micros } from '../env/clock.ts';
import { assert } from '../env/errors.ts';
import { amountOf } from '../tokens/amount.ts';
import { eventId, postTransferId } from '../tokens/ids.ts';
import type { Instrument } from '../tokens/transfer-record.ts';
import { POST_TRANSFER_POSTED, type PostTransferPosted } from './book-events.ts';
import { readBooksMode } from './books-mode.ts';
import { type Claim, demandFunds, demandWholeBooks, InsufficientFundsError } from './customer-funds.ts';
import { openAccounts, postEntries } from './journal.ts';
import {
  accountOf,
  canonicalText,
  demandBalanced,
  instrumentKeyOf,
  isPrintable,
  type PostTransferLine,
  postingsOf,
} from './post-transfer-lines.ts';
import { PostTransferRefusal } from './post-transfer-refusal.ts';
import { rerunOnConflict } from './rerun.ts';

export type PostTransferRequest = {
  /** The principal that asks; idempotency keys are its own. */
  readonly client: string;
  readonly idempotencyKey: string;
  /** What the exchange calls it, e.g. the number of a trade; or null. */
  readonly reference: string | null;
  /** 2 to {@link POST_TRANSFER_LINES_MAX}, in any order; per instrument they add up to nothing. */
  readonly lines: readonly PostTransferLine[];
};

export type PostedTransfer = { readonly id: string; readonly isReplayed: boolean };

export type PostTransfers = {
  /**
   * Safe to repeat with the same key, whatever became of the call before.
   * @throws PostTransferRefusal, InsufficientFundsError: nothing was booked. BooksBehindError, another RetryableError: ask again with the same key.
   */
  post(request: PostTransferRequest): Promise<PostedTransfer>;
};

/** @param log what this process has seen of the database: one that went back in time accepts nothing. Left out: nobody looks. */
export function createPostTransfers({
  db,
  clock,
  network,
  log,
}: {
  readonly db: Database;
  readonly clock: Clock;
  readonly network: string;
  readonly log?: LogMemory;
}): PostTransfers {
  async function postIn(tx: Transaction, request: PostTransferRequest): Promise<PostedTransfer> {
    if (log !== undefined) await demandKnownLog(tx, log);
    const id = postTransferId(network, request.client, request.idempotencyKey);
    // A retry meets what it made, whatever has changed since.
    const earlier = await replay(tx, id, request);
    if (earlier !== null) return earlier;
    const networkId = await demandOpenBooks(tx, network);
    const keyOf = await findInstruments(tx, networkId, request.lines);
    const nowMicros = clock.nowMicros();
    const inserted = await tx
      .insertInto('post_transfer')
      .values({
        id,
        network_id: networkId,
        client: request.client,
        idempotency_key: request.idempotencyKey,
        request_hash: hashOf(request),
        reference: request.reference,
        posted_at: nowMicros,
      })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst();
    // A rival with the same key waits for the first to commit at the unique index, and then finds its row.
    if (inserted.numInsertedOrUpdatedRows !== 1n) {
      const rival = await replay(tx, id, request);
      assert(rival !== null, 'A post transfer was in the way and is not there.', { id });
      return rival;
    }
    // From here on balances are locked, and nothing is waited for but other balances, which all lock in one order.
    await demandCovered(tx, networkId, await claimsOf(tx, networkId, request.lines, keyOf));
    await postEntries(tx, networkId, [
      {
        cause: `post:${id}`,
        description: 'post transfer',
        recordTime: nowMicros,
        lines: postingsOf(request.lines, keyOf),
      },
    ]);
    await announce(tx, id, request, nowMicros);
    return { id, isReplayed: false };
  }

  return {
    post: async (request) => {
      demandWellFormed(request);
      return await rerunOnConflict(async () => await db.transaction().execute(async (tx) => await postIn(tx, request)));
    },
  };
}

/** @throws PostTransferRefusal where it cannot be understood; no database is asked. */
function demandWellFormed({ idempotencyKey, reference, lines }: PostTransferRequest): void {
  if (!isPrintable(idempotencyKey)) {
    throw new PostTransferRefusal(
      'IDEMPOTENCY_KEY_INVALID',
      'An idempotency key has 1 to 255 bytes of printable text.',
    );
  }
  if (reference !== null && !isPrintable(reference)) {
    throw new PostTransferRefusal('REFERENCE_INVALID', 'A reference has 1 to 255 bytes of printable text.');
  }
  demandBalanced(lines);
}

/** The post transfer that this key made before; null: none. @throws PostTransferRefusal when the key stands for another input. */
async function replay(tx: Transaction, id: string, request: PostTransferRequest): Promise<PostedTransfer | null> {
  const stored = await tx.selectFrom('post_transfer').select('request_hash').where('id', '=', id).executeTakeFirst();
  if (stored === undefined) return null;
  if (!hashOf(request).equals(stored.request_hash)) {
    throw new PostTransferRefusal('IDEMPOTENCY_KEY_REUSED', 'This idempotency key stands for another post transfer.');
  }
  return { id, isReplayed: true };
}

function hashOf({ lines, reference }: PostTransferRequest): Buffer {
  return createHash('sha256').update(canonicalText(lines, reference)).digest();
}

async function demandOpenBooks(tx: Transaction, network: string): Promise<number> {
  const row = await tx.selectFrom('network').select('id').where('name', '=', network).executeTakeFirst();
  const mode = row === undefined ? 'EXTERNAL' : await readBooksMode(tx, row.id);
  if (row === undefined || mode === 'EXTERNAL') {
    throw new PostTransferRefusal(
      'BOOKS_EXTERNAL',
      'The exchange keeps the balances of customers here, and Sluice what crossed the ledger.',
    );
  }
  return row.id;
}

/** @returns the database's number of each. @throws PostTransferRefusal where one was never seen. */
async function findInstruments(
  tx: Transaction,
  networkId: number,
  lines: readonly PostTransferLine[],
): Promise<(instrument: Instrument) => number> {
  const { rows } = await sql<Instrument & { key: number }>`
    SELECT id AS key, admin, instrument_id AS id FROM instrument
    WHERE network_id = ${networkId} AND (admin, instrument_id) IN (
      SELECT * FROM unnest(${lines.map(({ instrument }) => instrument.admin)}::text[], ${lines.map(({ instrument }) => instrument.id)}::text[])
    )`.execute(tx);
  const keys = new Map(rows.map(({ key, ...instrument }) => [instrumentKeyOf(instrument), key]));
  const strange = lines.findIndex(({ instrument }) => !keys.has(instrumentKeyOf(instrument)));
  if (strange >= 0) {
    throw new PostTransferRefusal('INSTRUMENT_UNKNOWN', 'No such instrument was ever seen here.', strange);
  }
  return (instrument) => {
    const key = keys.get(instrumentKeyOf(instrument));
    assert(key !== undefined, 'An instrument that was found is not there.', instrument);
    return key;
  };
}

/** Of customers alone: the house may owe, and its balances are nobody's to wait for. */
async function claimsOf(
  tx: Transaction,
  networkId: number,
  lines: readonly PostTransferLine[],
  keyOf: (instrument: Instrument) => number,
): Promise<readonly Claim[]> {
  const accounts = await openAccounts(tx, networkId, lines.map(accountOf));
  return lines.flatMap((line): readonly Claim[] => {
    const { account, instrument, amount } = line;
    if (!('customer' in account)) return [];
    const gives = amountOf(amount < 0n ? -amount : 0n);
    const accountId = accounts(accountOf(line));
    return [{ accountId, account: account.customer, instrumentKey: keyOf(instrument), instrument, gives }];
  });
}

/** Where a restored database may lack what a customer had gained, that he has too little is no answer: what it lacks is sent again, in whatever order. @throws InsufficientFundsError, BooksBehindError. */
async function demandCovered(tx: Transaction, networkId: number, claims: readonly Claim[]): Promise<void> {
  try {
    await demandFunds(tx, networkId, claims);
  } catch (error) {
    if (error instanceof InsufficientFundsError) await demandWholeBooks(tx, networkId);
    throw error;
  }
}

async function announce(
  tx: Transaction,
  id: string,
  { client, idempotencyKey, reference, lines }: PostTransferRequest,
  nowMicros: Micros,
): Promise<void> {
  const customers = lines.flatMap(({ account }) => ('customer' in account ? [account.customer] : []));
  const payload: PostTransferPosted = {
    postTransferId: id,
    client,
    idempotencyKey,
    reference,
    accounts: [...new Set(customers)].sort(),
    postedAt: nowMicros.toString(),
  };
  await appendEvents(tx, [
    {
      eventId: eventId(POST_TRANSFER_POSTED, id, 'posted'),
      type: POST_TRANSFER_POSTED,
      subject: id,
      recordedAt: nowMicros,
      payload,
    },
  ]);
}

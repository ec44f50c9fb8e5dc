/**
 * Accepting withdrawals. Everything that belongs to a request is one transaction: the row, the debit of the customer's account, the verdict of the policy and the event. The same idempotency key
 * with the same input is the same withdrawal, for ever and on every replica; with another input it is refused.
 */
import { sql } from 'kysely';
import type { ConfiguredBooks } from '../books/books-mode.ts';
import { demandFunds, demandWholeBooks } from '../books/customer-funds.ts';
import { type AccountRef, houseAccount, openAccounts, postEntries } from '../books/journal.ts';
import { rerunOnConflict } from '../books/rerun.ts';
import type { Database, Transaction } from '../db/connection.ts';
import { DatabaseRestoredError, releaseRestored, safeTimeOfLost } from '../db/database-restore.ts';
import { appendEvents } from '../db/event-log.ts';
import { demandKnownLog, type LogMemory } from '../db/log-history.ts';
import type { Clock } from '../env/clock.ts';
import { assert } from '../env/errors.ts';
import { judgeRequest } from '../policy/judging.ts';
import { applyFirstVerdict, FIRST_VERDICT } from '../policy/request-verdict.ts';
import { type Amount, formatAmount } from '../tokens/amount.ts';
import { withdrawalId } from '../tokens/ids.ts';
import type { Instrument } from '../tokens/transfer-record.ts';
import { cancelIn } from './cancellation.ts';
import { isPaidBefore } from './earlier-payment.ts';
import { type KnownRequest, lookAtRequest, targetColumns } from './request-look.ts';
import {
  demandWellFormed,
  hashOf,
  judgeableOf,
  requestEvent,
  sealOf,
  WithdrawalRefusal,
  type WithdrawalRequest,
} from './request-terms.ts';
import { createTogether } from './requests-together.ts';
import type { OriginSeal } from './transfer-metadata.ts';
import { chooseTreasury } from './treasury-choice.ts';

export {
  demandWellFormed,
  judgeableOf,
  WithdrawalRefusal,
  type WithdrawalRefusalCode,
  type WithdrawalRequest,
} from './request-terms.ts';

export type CreatedWithdrawal = { readonly id: string; readonly isReplayed: boolean };

export type Withdrawals = {
  /** @throws WithdrawalRefusal, InsufficientFundsError: nothing was stored. BooksBehindError, another RetryableError: ask again with the same key; DatabaseRestoredError says from when on. */
  create(request: WithdrawalRequest): Promise<CreatedWithdrawal>;
  /** As `create`, as part of `tx`, and out of `payer` instead of a customer's account: what is paid back to a sender was never a customer's. */
  createIn(tx: Transaction, request: WithdrawalRequest, payer: AccountRef): Promise<CreatedWithdrawal>;
  /**
   * Whether the ledger shows a payment for one of these keys, also where the withdrawal that made it was lost with a database.
   * @param from.treasuryParty who would have paid it.
   * @throws DatabaseRestoredError where the ledger does not show one yet, and one that is lost may still come; RetryableError, as `create`.
   */
  hasPaid(
    tx: Transaction,
    from: { readonly client: string; readonly treasuryParty: string },
    idempotencyKeys: readonly string[],
  ): Promise<boolean>;
  /** Asks for the end of a withdrawal of `client`. @returns false where there is none, or it is final. @throws RetryableError, as `create`. */
  cancel(client: string, id: string): Promise<boolean>;
};

/**
 * @param idKey keys the ids; see `withdrawalId`.
 * @param seal what travels with a payment, so that it can be made anew from the ledger. Left out: nothing does.
 * @param log what this process has seen of the database: one that went back in time accepts nothing. Left out: nobody looks.
 * @param books who this process was told keeps the balances of customers.
 */
export function createWithdrawals({
  db,
  clock,
  network,
  idKey,
  seal,
  log,
  books = 'external',
}: {
  readonly db: Database;
  readonly clock: Clock;
  readonly network: string;
  readonly idKey: Uint8Array;
  readonly seal?: Pick<OriginSeal, 'seal'>;
  readonly log?: LogMemory;
  readonly books?: ConfiguredBooks;
}): Withdrawals {
  const idOf = (request: WithdrawalRequest): string => {
    const id = withdrawalId(idKey, request.client, request.idempotencyKey);
    return id;
  };

  async function createIn(tx: Transaction, request: WithdrawalRequest, payer: AccountRef): Promise<CreatedWithdrawal> {
    demandWellFormed(request);
    if (log !== undefined) await demandKnownLog(tx, log);
    const id = idOf(request);
    // A retry must meet its withdrawal whatever has changed since: refusing it would tell the client to pay by another way.
    const known = await lookAtRequest(tx, { id, network, treasuryParty: request.treasuryParty });
    const earlier = replayOf(known, id, request);
    if (earlier !== null) {
      const why = 'It was asked for again.';
      await releaseRestored(tx, [id], { by: request.client, why, nowMicros: clock.nowMicros() });
      return earlier;
    }
    if (known.hasPaid) {
      throw new WithdrawalRefusal(
        'PAID_BEFORE',
        'The ledger shows that this was paid, and its withdrawal is not here.',
      );
    }
    if (known.safeRecordTime !== null) throw new DatabaseRestoredError(known.safeRecordTime);
    const target = await findTarget(tx, network, request);
    const nowMicros = clock.nowMicros();
    const whole = { ...request, treasuryParty: target.treasuryParty };
    const requestHash = hashOf(whole);
    const accounts = await openAccounts(tx, target.networkId, [payer, houseAccount('WITHDRAWALS')]);
    // Before the row is written: whoever writes it waits for nobody any more but a rival with the same key.
    const judged = await judgeRequest(
      tx,
      judgeableOf(whole, payer, { ...target, accountId: accounts(payer) }),
      nowMicros,
    );
    const inserted = await tx
      .insertInto('withdrawal')
      .values({
        id,
        network_id: target.networkId,
        client: request.client,
        idempotency_key: request.idempotencyKey,
        request_hash: requestHash,
        account_id: accounts(payer),
        treasury_id: target.treasuryId,
        instrument_id: target.instrumentKey,
        receiver: request.receiver,
        amount: formatAmount(request.amount),
        memo: request.memo,
        deadline: request.deadline ?? null,
        request_id: request.requestId ?? null,
        state: 'REQUESTED',
        verdict: FIRST_VERDICT,
        sealed_origin: sealOf(seal, id, request, requestHash, payer),
        created_at: nowMicros,
        changed_at: nowMicros,
      })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst();
    // A rival with the same key waits for the first to commit at the unique index, and then finds its row.
    if (inserted.numInsertedOrUpdatedRows !== 1n) {
      const rival = replayOf(await lookAtRequest(tx, { id, network, treasuryParty: null }), id, request);
      assert(rival !== null, 'A withdrawal was in the way and is not there.', { id });
      return rival;
    }

    if (payer.kind === 'CUSTOMER') {
      // Behind the row, so that a rival with the same key waits there and is answered, not refused because the first has taken the money.
      const { networkId, instrumentKey } = target;
      const { account, instrument, amount: gives } = request;
      await demandWholeBooks(tx, networkId, books);
      await demandFunds(tx, networkId, [{ accountId: accounts(payer), account, instrumentKey, instrument, gives }]);
    }
    const { instrumentKey } = target;
    const lines = [{ debit: payer, credit: houseAccount('WITHDRAWALS'), instrumentKey, amount: request.amount }];
    const entry = {
      cause: `withdrawal:${id}:requested`,
      description: 'withdrawal requested',
      recordTime: nowMicros,
      lines,
    };
    await postEntries(tx, target.networkId, [entry], accounts);
    await appendEvents(tx, [requestEvent(id, nowMicros)]);
    await applyFirstVerdict(tx, id, judged, nowMicros);
    return { id, isReplayed: false };
  }

  const together = createTogether<CreatedWithdrawal>({
    db,
    clock,
    network,
    books,
    ...(seal !== undefined && { seal }),
    ...(log !== undefined && { log }),
    alone: async (request) =>
      await rerunOnConflict(
        async () => await db.transaction().execute(async (tx) => await createIn(tx, request, customerOf(request))),
      ),
    accepted: (id) => ({ id, isReplayed: false }),
  });

  return {
    create: async (request) => {
      demandWellFormed(request);
      return await together(idOf(request), request);
    },
    createIn,
    hasPaid: async (tx, { client, treasuryParty }, idempotencyKeys) => {
      if (log !== undefined) await demandKnownLog(tx, log);
      const ids = idempotencyKeys.map((key) => withdrawalId(idKey, client, key));
      const { rows } = await sql<{ hasPaid: boolean; safe: bigint | null }>`
        SELECT ${isPaidBefore(sql`${ids}::text[]`)} AS "hasPaid", ${safeTimeOfLost(network, treasuryParty)} AS safe`.execute(
        tx,
      );
      const [found] = rows;
      assert(found !== undefined, 'A statement without a table has a row.', {});
      if (!found.hasPaid && found.safe !== null) throw new DatabaseRestoredError(found.safe);
      return found.hasPaid;
    },
    cancel: async (client, id) =>
      db.transaction().execute(async (tx) => {
        if (log !== undefined) await demandKnownLog(tx, log);
        const own = await tx
          .selectFrom('withdrawal')
          .select('id')
          .where('id', '=', id)
          .where('client', '=', client)
          .executeTakeFirst();
        return own !== undefined && (await cancelIn(tx, id, { by: client, nowMicros: clock.nowMicros() }));
      }),
  };
}

/** Who would pay what, by the database's numbers. @throws WithdrawalRefusal where nobody would. */
export async function findTarget(
  tx: Transaction,
  network: string,
  { treasuryParty: named, instrument, receiver, amount }: WithdrawalRequest,
) {
  const treasuryParty = named ?? (await chosenTreasury(tx, network, instrument, amount));
  const { rows } = await sql<{
    networkId: number;
    treasuryId: number;
    isOwnReceiver: boolean;
    instrumentKey: number | null;
  }>`
    SELECT t.network_id AS "networkId", t.id AS "treasuryId",
      ${targetColumns({ admin: sql`${instrument.admin}::text`, id: sql`${instrument.id}::text`, receiver: sql`${receiver}::text` })}
    FROM treasury_party t JOIN network n ON n.id = t.network_id
    WHERE n.name = ${network} AND t.party = ${treasuryParty}`.execute(tx);
  const [target] = rows;
  if (target === undefined) throw new WithdrawalRefusal('TREASURY_UNKNOWN', 'No such treasury party is served here.');
  const { isOwnReceiver, instrumentKey, ...keys } = target;
  if (isOwnReceiver) throw new WithdrawalRefusal('RECEIVER_INVALID', 'The receiver is a treasury of ours.');
  if (instrumentKey === null)
    throw new WithdrawalRefusal('INSTRUMENT_NOT_ACCEPTED', 'The instrument is not one we pay out.');
  return { ...keys, treasuryParty, instrumentKey };
}

async function chosenTreasury(tx: Transaction, network: string, instrument: Instrument, amount: Amount) {
  const choice = await chooseTreasury(tx, network, instrument, amount);
  if (choice.kind === 'CHOSEN') return choice.party;
  if (choice.held.length === 0) throw new WithdrawalRefusal('TREASURY_UNKNOWN', 'No treasury party is served here.');
  const held = choice.held.map((one) => `${one.name} ${one.amount}`).join(', ');
  throw new WithdrawalRefusal(
    'INSUFFICIENT_FUNDS',
    `No one treasury has ${formatAmount(amount)} to spare, and one of them pays. They have: ${held}.`,
  );
}

/** The withdrawal that this key made before; null: none. @throws WithdrawalRefusal when the key stands for another request. */
function replayOf({ stored }: KnownRequest, id: string, request: WithdrawalRequest): CreatedWithdrawal | null {
  if (stored === null) return null;
  const whole = { ...request, treasuryParty: request.treasuryParty ?? stored.treasuryParty };
  if (!hashOf(whole).equals(stored.requestHash)) {
    throw new WithdrawalRefusal('IDEMPOTENCY_KEY_REUSED', 'This idempotency key stands for another request.');
  }
  return { id, isReplayed: true };
}

function customerOf({ account }: WithdrawalRequest) {
  return { kind: 'CUSTOMER', owner: account } as const;
}

/**
 * What people ask for about an offer: accept or reject it, try it now, leave it alone. Each is one transaction with its row in `offer_decision`. Nothing here touches the ledger: the loop does,
 * and only what is seen there ends an offer.
 */
import { sql } from 'kysely';
import type { Database, Transaction } from '../../db/connection.ts';
import type { Clock, Micros } from '../../env/clock.ts';
import { assert } from '../../env/errors.ts';
import { type OfferChoice, offerActionId } from './offer-action-id.ts';
import { PARKED_BY_PERSON } from './offer-purpose.ts';
import { OfferRefusal } from './offer-refusal.ts';

export type OfferWish = {
  /** Of the offer; it stays, whatever contracts a registry replaces the offer by. */
  readonly transferId: string;
  /** The principal who asks. */
  readonly by: string;
  /** For those who come after; 1 to 1,000 bytes. */
  readonly why: string;
};

export type OfferRequests = {
  /** Accepts it at the next pass, whatever its amount. @throws OfferRefusal: nothing was changed. */
  requestAcceptance(wish: OfferWish): Promise<void>;
  /** Gives it back to its sender, in place of an acceptance that is not under way. @throws OfferRefusal. */
  requestRejection(wish: OfferWish): Promise<void>;
  /** Tries it at once: whatever it waits for, and as often as any other again. A parked one goes on. @throws OfferRefusal. */
  retryNow(wish: OfferWish): Promise<void>;
  /** Leaves it alone from now on. One under way is parked when nothing signed can commit any more. @throws OfferRefusal. */
  park(wish: OfferWish): Promise<void>;
  /** Puts a parked one back in the queue. @throws OfferRefusal. */
  unpark(wish: OfferWish): Promise<void>;
};

export function createOfferRequests({ db, clock }: { readonly db: Database; readonly clock: Clock }): OfferRequests {
  const inOne = async (work: (tx: Transaction) => Promise<void>): Promise<void> => await db.transaction().execute(work);
  return {
    requestAcceptance: async (wish) => await inOne((tx) => request(tx, 'ACCEPT', wish, clock.nowMicros())),
    requestRejection: async (wish) => await inOne((tx) => request(tx, 'REJECT', wish, clock.nowMicros())),
    retryNow: async (wish) =>
      await inOne(async (tx) => {
        const { action } = await lockOffer(tx, wish);
        if (action === null) return await request(tx, 'ACCEPT', wish, clock.nowMicros());
        if (action.state === 'IN_FLIGHT') throw new OfferRefusal('OFFER_IN_FLIGHT');
        await requeue(tx, action, { isForced: true, nowMicros: clock.nowMicros() });
        await note(tx, action, 'RETRY_NOW', wish, clock.nowMicros());
      }),
    park: async (wish) => await inOne((tx) => park(tx, wish, clock.nowMicros())),
    unpark: async (wish) =>
      await inOne(async (tx) => {
        const { action } = await lockOffer(tx, wish);
        if (action === null || action.state !== 'PARKED') throw new OfferRefusal('OFFER_NOT_PARKED');
        await requeue(tx, action, { isForced: false, nowMicros: clock.nowMicros() });
        await note(tx, action, 'UNPARK', wish, clock.nowMicros());
      }),
  };
}

/** The same, for a transaction of the caller's. @throws OfferRefusal: the caller's transaction must end. */
export async function request(tx: Transaction, choice: OfferChoice, wish: OfferWish, nowMicros: Micros): Promise<void> {
  const offer = await lockOffer(tx, wish);
  const { action } = offer;
  if (action?.state === 'IN_FLIGHT') throw new OfferRefusal('OFFER_IN_FLIGHT');
  if (action !== null && action.choice !== choice) {
    await tx
      .updateTable('offer_action')
      .set({ state: 'ENDED', reason: 'REPLACED', changed_at: nowMicros })
      .where('id', '=', action.id)
      .execute();
  }
  const id = await insertAction(tx, offer, choice, wish, nowMicros);
  await requeue(tx, { id }, { isForced: true, nowMicros });
  await note(tx, { id, state: action?.state ?? null }, choice, wish, nowMicros);
}

/** @returns its id. One that was there before stays as it is. */
async function insertAction(
  tx: Transaction,
  offer: Offer,
  choice: OfferChoice,
  wish: OfferWish,
  nowMicros: Micros,
): Promise<string> {
  const id = offerActionId(wish.transferId, choice);
  await tx
    .insertInto('offer_action')
    .values({
      id,
      treasury_id: offer.treasuryId,
      instrument_id: offer.instrumentKey,
      transfer_id: wish.transferId,
      choice,
      sender: offer.sender,
      deposit_account_id: offer.action?.depositAccountId ?? null,
      state: 'QUEUED',
      next_try_at: nowMicros,
      requested_by: wish.by,
      created_at: nowMicros,
      changed_at: nowMicros,
    })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute();
  return id;
}

async function park(tx: Transaction, wish: OfferWish, nowMicros: Micros): Promise<void> {
  const offer = await lockOffer(tx, wish);
  if (offer.action === null) {
    const id = await insertAction(tx, offer, 'ACCEPT', wish, nowMicros);
    await requeue(tx, { id }, { isForced: false, nowMicros });
  }
  const { action } = offer.action === null ? await lockOffer(tx, wish) : offer;
  assert(action !== null, 'What was written is not there.', { transferId: wish.transferId });
  if (action.state === 'PARKED') throw new OfferRefusal('OFFER_PARKED');
  await tx
    .updateTable('offer_action')
    .set(
      action.state === 'IN_FLIGHT'
        ? { is_park_requested: true, changed_at: nowMicros }
        : { state: 'PARKED', reason: PARKED_BY_PERSON, detail: wish.why, is_forced: false, changed_at: nowMicros },
    )
    .where('id', '=', action.id)
    .execute();
  await note(tx, { id: action.id, state: offer.action?.state ?? null }, 'PARK', wish, nowMicros);
}

type Action = {
  readonly id: string;
  readonly choice: OfferChoice;
  readonly state: 'QUEUED' | 'IN_FLIGHT' | 'PARKED';
  readonly depositAccountId: string | null;
};

type Offer = {
  readonly treasuryId: number;
  readonly instrumentKey: number;
  readonly sender: string;
  /** What is being done about it; null: nothing. */
  readonly action: Action | null;
};

const WHY_BYTES_MAX = 1_000;

/** Locks an offer that is open, so that nobody else decides and it does not end meanwhile, and then what is being done about it: as ingestion locks them. @throws OfferRefusal OFFER_NOT_OPEN, REASON_INVALID. */
async function lockOffer(tx: Transaction, { transferId, why }: OfferWish): Promise<Offer> {
  const isKept = why.isWellFormed() && !why.includes('\0') && why.trim() !== '';
  if (!isKept || Buffer.byteLength(why, 'utf8') > WHY_BYTES_MAX) throw new OfferRefusal('REASON_INVALID');
  const { rows } = await sql<Omit<Offer, 'action'>>`
    SELECT treasury_id AS "treasuryId", instrument_id AS "instrumentKey", sender FROM transfer_instruction
    WHERE transfer_id = ${transferId} AND direction = 'IN' AND ended_update_id IS NULL ORDER BY contract_id FOR NO KEY UPDATE`.execute(
    tx,
  );
  const [offer] = rows;
  if (offer === undefined) throw new OfferRefusal('OFFER_NOT_OPEN');
  const { rows: actions } = await sql<Action>`
    SELECT id, choice, state, deposit_account_id AS "depositAccountId" FROM offer_action
    WHERE transfer_id = ${transferId} AND state IN ('QUEUED', 'IN_FLIGHT', 'PARKED') FOR UPDATE`.execute(tx);
  return { ...offer, action: actions[0] ?? null };
}

async function requeue(
  tx: Transaction,
  { id }: { readonly id: string },
  { isForced, nowMicros }: { readonly isForced: boolean; readonly nowMicros: Micros },
): Promise<void> {
  await tx
    .updateTable('offer_action')
    .set({
      state: 'QUEUED',
      reason: null,
      detail: null,
      tries: 0,
      waits: 0,
      is_park_requested: false,
      next_try_at: nowMicros,
      changed_at: nowMicros,
      ...(isForced && { is_forced: true }),
    })
    .where('id', '=', id)
    .execute();
}

async function note(
  tx: Transaction,
  { id, state }: { readonly id: string; readonly state: string | null },
  decision: 'ACCEPT' | 'REJECT' | 'RETRY_NOW' | 'PARK' | 'UNPARK',
  { by, why }: OfferWish,
  nowMicros: Micros,
): Promise<void> {
  await tx
    .insertInto('offer_decision')
    .values({
      offer_action_id: id,
      decision,
      decided_at: nowMicros,
      decided_by: by,
      why,
      state_before: state,
    })
    .execute();
}

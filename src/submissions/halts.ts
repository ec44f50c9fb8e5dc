/**
 * Halts: kill switches. A halt covers a treasury, an instrument, one instrument of one treasury, or, with neither, everything; while it stands nothing is signed and nothing that was signed is sent. It is read
 * in the very statement that writes down that a signature is asked for, so it holds in every process from the moment it is committed, whatever that process remembers, and after any restart.
 *
 * Whoever may operate halts. Lifting is the dangerous direction: one person asks, another one agrees. Halting again what is halted already takes back a wish to lift.
 */
import { createHash } from 'node:crypto';
import { type RawBuilder, sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import { appendEvents } from '../db/event-log.ts';
import type { Micros } from '../env/clock.ts';
import { RetryableError } from '../env/errors.ts';
import { personOf } from '../env/person.ts';
import { covers } from '../ingestion/freezes.ts';
import { eventId } from '../tokens/ids.ts';
import type { Instrument } from '../tokens/transfer-record.ts';
import { HALT_CHANGED, type HaltChanged } from './halt-events.ts';
import { HaltRefusal } from './halt-refusal.ts';

/** Whether a halt covers an instrument of a treasury, both as SQL of the statement it stands in. */
export function isHalted(treasuryId: RawBuilder<unknown>, instrumentKey: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`EXISTS (SELECT FROM halt WHERE ${covers(sql`halt`, treasuryId, instrumentKey)})`;
}

export type HaltScope = {
  /** Null: every treasury party. */
  readonly treasury: { readonly network: string; readonly party: string } | null;
  /** Null: every instrument. With no network named: of whichever network. */
  readonly instrument: Instrument | null;
};

/** A person's word on a halt. @param by a principal. @param why for those who come after; 1 to 1000 bytes. */
export type HaltWord = { readonly by: string; readonly why: string; readonly nowMicros: Micros };

/** `isReplayed`: it stood already; a wish to lift it, if there was one, is taken back. */
export type HaltResult = { readonly haltId: string; readonly isReplayed: boolean };

const WHY_BYTES_MAX = 1_000;
const RIVALS_MAX = 8;

/** Halts. It holds from the commit of this call on. @throws HaltRefusal: nothing was changed. */
export async function haltMoney(db: Database, scope: HaltScope, word: HaltWord): Promise<HaltResult> {
  demandWhy(word.why);
  return await db.transaction().execute(async (tx) => {
    const halted: HaltResult[] = [];
    for (const keys of await keysOf(tx, scope)) halted.push(await haltOne(tx, scope, keys, word));
    const [first] = halted;
    if (first === undefined) throw new HaltRefusal('INSTRUMENT_UNKNOWN');
    return { haltId: first.haltId, isReplayed: halted.every(({ isReplayed }) => isReplayed) };
  });
}

async function haltOne(tx: Transaction, scope: HaltScope, keys: HaltKeys, word: HaltWord): Promise<HaltResult> {
  for (let rival = 0; rival < RIVALS_MAX; rival += 1) {
    const id = idOf(scope, word.nowMicros + BigInt(rival));
    const inserted = await tx
      .insertInto('halt')
      .values({ id, ...keys, why: word.why, halted_at: word.nowMicros, halted_by: word.by })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst();
    if (inserted.numInsertedOrUpdatedRows === 1n) {
      await announce(tx, id, `halted/${word.nowMicros}`, word.nowMicros);
      return { haltId: id, isReplayed: false };
    }
    const { rows } = await sql<{ id: string }>`
      UPDATE halt SET lift_asked_at = NULL, lift_asked_by = NULL, lift_why = NULL
      WHERE lifted_at IS NULL AND treasury_id IS NOT DISTINCT FROM ${keys.treasury_id}::int AND instrument_id IS NOT DISTINCT FROM ${keys.instrument_id}::int
      RETURNING id`.execute(tx);
    const [standing] = rows;
    // None: the one in the way was lifted meanwhile, or is of another network.
    if (standing === undefined) continue;
    await announce(tx, standing.id, `again/${word.by}/${word.nowMicros}`, word.nowMicros);
    return { haltId: standing.id, isReplayed: true };
  }
  throw new RetryableError('HALT_CONTENDED', 'Others halt and lift the same at this moment.');
}

/**
 * Asks for the end of a halt; where somebody else has asked for it already, ends it.
 * @returns whether it is lifted. Asking twice is asking once.
 * @throws HaltRefusal: nothing was changed.
 */
export async function liftHalt(db: Database, haltId: string, word: HaltWord): Promise<{ readonly isLifted: boolean }> {
  demandWhy(word.why);
  return await db.transaction().execute(async (tx) => {
    const row = await tx.selectFrom('halt').selectAll().where('id', '=', haltId).forUpdate().executeTakeFirst();
    if (row === undefined) throw new HaltRefusal('HALT_UNKNOWN');
    if (row.lifted_at !== null) {
      if (row.lifted_by === word.by || row.lift_asked_by === word.by) return { isLifted: true };
      throw new HaltRefusal('HALT_LIFTED');
    }
    if (row.lift_asked_by !== null && personOf(row.lift_asked_by) === personOf(word.by)) return { isLifted: false };
    const isSecond = row.lift_asked_by !== null;
    await tx
      .updateTable('halt')
      .set(
        isSecond
          ? { lifted_at: word.nowMicros, lifted_by: word.by, lift_why: `${row.lift_why}; ${word.by}: ${word.why}` }
          : { lift_asked_at: word.nowMicros, lift_asked_by: word.by, lift_why: word.why },
      )
      .where('id', '=', haltId)
      .execute();
    await announce(tx, haltId, `${isSecond ? 'lifted' : 'asked'}/${word.by}/${word.nowMicros}`, word.nowMicros);
    return { isLifted: isSecond };
  });
}

type HaltKeys = { readonly treasury_id: number | null; readonly instrument_id: number | null };

/**
 * Fails closed: a name that is not known here is refused, never taken for "everything". Of a treasury the instrument is that of its network, or nothing would be covered; of every treasury it is that of each network.
 * @returns one halt each; none: the instrument is not known.
 */
async function keysOf(tx: Transaction, { treasury, instrument }: HaltScope): Promise<readonly HaltKeys[]> {
  const party =
    treasury === null
      ? null
      : await tx
          .selectFrom('treasury_party as t')
          .innerJoin('network as n', 'n.id', 't.network_id')
          .select(['t.id', 't.network_id as networkId'])
          .where('n.name', '=', treasury.network)
          .where('t.party', '=', treasury.party)
          .executeTakeFirst();
  if (party === undefined) throw new HaltRefusal('TREASURY_UNKNOWN');
  const treasuryId = party?.id ?? null;
  if (instrument === null) return [{ treasury_id: treasuryId, instrument_id: null }];
  const { rows } = await sql<{ id: number }>`
    SELECT id FROM instrument WHERE admin = ${instrument.admin} AND instrument_id = ${instrument.id}
      AND (${party === null}::boolean OR network_id = ${party?.networkId ?? null}::int) ORDER BY id`.execute(tx);
  return rows.map(({ id }) => ({ treasury_id: treasuryId, instrument_id: id }));
}

/** Of the scope and the moment: nobody has to remember one that was made up, and a restored database gets it back under the same id. */
function idOf({ treasury, instrument }: HaltScope, at: Micros): string {
  const parts = [treasury?.network, treasury?.party, instrument?.admin, instrument?.id, at.toString()];
  return `ht_${createHash('sha256')
    .update(JSON.stringify(parts.map((part) => part ?? null)))
    .digest('hex')
    .slice(0, 40)}`;
}

function demandWhy(why: string): void {
  const isKept = why.isWellFormed() && !why.includes('\0') && why.trim() !== '';
  if (!isKept || Buffer.byteLength(why) > WHY_BYTES_MAX) throw new HaltRefusal('REASON_INVALID');
}

/** @param occasion tells this change of the halt from its others. */
async function announce(tx: Transaction, haltId: string, occasion: string, nowMicros: Micros): Promise<void> {
  const { rows } = await sql<HaltChanged>`
    SELECT halt.id AS "haltId", t.party AS "treasuryParty",
      CASE WHEN i.id IS NULL THEN NULL ELSE json_build_object('admin', i.admin, 'id', i.instrument_id) END AS instrument,
      halt.why, halt.halted_by AS "haltedBy", halt.lift_asked_by AS "liftAskedBy", halt.lifted_by AS "liftedBy", halt.lift_why AS "liftWhy"
    FROM halt LEFT JOIN treasury_party t ON t.id = halt.treasury_id LEFT JOIN instrument i ON i.id = halt.instrument_id
    WHERE halt.id = ${haltId}`.execute(tx);
  await appendEvents(
    tx,
    rows.map((payload) => ({
      eventId: eventId(HALT_CHANGED, haltId, occasion),
      type: HALT_CHANGED,
      subject: haltId,
      recordedAt: nowMicros,
      payload,
    })),
  );
}

/**
 * Ids of what the ledger did. They are functions of ledger ids alone, so a rebuild, a failover and a second installation on another
 * participant give the same thing the same id. Offsets and node ids are local to one participant and never enter.
 */
import { createHash, createHmac } from 'node:crypto';

const ID_BYTES = 20; // 160 bits: no two of any realistic number of transfers meet.

/** Hash over length-prefixed parts, so that ('ab','c') and ('a','bc') differ. */
function digest(purpose: string, parts: readonly string[]): string {
  const hash = createHash('sha256');
  for (const part of [purpose, ...parts]) {
    const bytes = Buffer.from(part, 'utf8');
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    hash.update(length).update(bytes);
  }
  return hash.digest().subarray(0, ID_BYTES).toString('hex');
}

/** @param rank of the movement among this party's movements in the update, in pre-order from 0. */
export function transferId(party: string, updateId: string, rank: number): string {
  return `tr_${digest('transfer', [party, updateId, String(rank)])}`;
}

/** A deposit account is the one meaning of a memo in a network. */
export function depositAccountId(network: string, memo: string): string {
  return `da_${digest('deposit account', [network, memo])}`;
}

/** Of a transfer to ourselves, by what it consumes and when it was planned. */
export function selfTransferId(party: string, inputs: readonly string[], plannedAt: bigint): string {
  return `st_${digest('self-transfer', [party, plannedAt.toString(), ...inputs])}`;
}

/** Of what a client posted, by its own key. */
export function postTransferId(network: string, client: string, idempotencyKey: string): string {
  return `pt_${digest('post transfer', [network, client, idempotencyKey])}`;
}

/** @param subject the id the event is about. @param occasion what tells this event of the subject from its others (an update id, …). */
export function eventId(type: string, subject: string, occasion: string): string {
  return `ev_${digest('event', [type, subject, occasion])}`;
}

/**
 * The id of a withdrawal: a keyed hash, so that nobody who sees it on the ledger can try out which client and key it stands for, and the same request has the same id after the
 * database was lost.
 * @param key of the installation; must survive whatever the ids must survive.
 */
export function withdrawalId(key: Uint8Array, client: string, idempotencyKey: string): string {
  const hash = createHmac('sha256', key)
    .update(digest('withdrawal', [client, idempotencyKey]))
    .digest('hex');
  return `wd_${hash.slice(0, ID_BYTES * 2)}`;
}

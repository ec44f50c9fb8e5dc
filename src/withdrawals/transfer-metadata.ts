/**
 * What travels with each transfer that pays a withdrawal, so that the withdrawal can be made anew from the ledger where the database has lost it: its id, and beside it whom it is for, sealed.
 *
 * The seal is AES-256-GCM under a key of its own; its nonce is a keyed hash of everything that goes in, so that sealing the same withdrawal twice gives the same text (all tries and attempts carry the
 * same) and no nonce is ever used for two different texts. The withdrawal's id, the receiver, the instrument, the amount and the memo are authenticated with it: a seal that is copied into another
 * transfer does not open there. And only who knows the client and the key can make the id: what opens and does not make this very id is nobody's.
 *
 * Size: 3 bytes of frame, the id of the key, 28 bytes of nonce and tag, and the JSON of what is inside, all as base64url: for a client of 10, an account of 20 and a key of 36 bytes 226 characters,
 * at most 2,000; a direct transfer of Canton Coin, which repeats its metadata once, costs that much more traffic twice. Neither Canton nor the token standard bounds a metadata value but by the size of
 * the transaction.
 * @see NIST SP 800-38D, section 8: uniqueness of the nonce is what GCM stands on. RFC 5297 and RFC 8452 make it from the text, as here.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto';
import { z } from 'zod';
import { type Amount, formatAmount } from '../tokens/amount.ts';
import { withdrawalId } from '../tokens/ids.ts';
import { META_REASON } from '../tokens/standard.ts';
import type { Instrument } from '../tokens/transfer-record.ts';

/** Our own metadata keys: the withdrawal's id … */
export const META_WITHDRAWAL = 'sluice.dev/withdrawal-id';
/** … and whom it is for. */
export const META_ORIGIN = 'sluice.dev/origin';

/** Whose request it was. */
export type WithdrawalOrigin = {
  readonly client: string;
  readonly idempotencyKey: string;
  /** As the request named it. */
  readonly account: string;
  /** SHA-256 of the whole request: the same key with another one is refused. */
  readonly requestHash: Uint8Array;
  /** The account of the books that is debited. */
  readonly payer: { readonly kind: 'CUSTOMER' | 'REFUNDS'; readonly owner: string };
};

/** What a seal stands for, and is good for nowhere else. */
export type SealedTransfer = {
  readonly withdrawalId: string;
  readonly receiver: string;
  readonly instrument: Instrument;
  readonly amount: Amount;
  /** What the receiver asked for, or null. */
  readonly memo: string | null;
};

/** A key and its name, which travels in clear. */
export type SealKey = { readonly id: string; readonly key: Uint8Array };

export type OriginSeal = {
  /** @returns null where nothing is to travel. */
  seal(origin: WithdrawalOrigin, transfer: SealedTransfer): string | null;
  /** @returns null for whatever was not sealed by one of our keys for this very transfer. */
  open(sealed: string, transfer: SealedTransfer): WithdrawalOrigin | null;
};

/** Of the key that is made from the one that makes ids. */
const DERIVED_KEY_ID = '0';
const VERSION = 1;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const SEALED_CHARACTERS_MAX = 4_096; // Twice what we make; anybody can write any text there.

const inside = z.strictObject({
  c: z.string(),
  k: z.string(),
  a: z.string(),
  h: z.string(),
  // Left out for the customer whom the request names.
  p: z.tuple([z.enum(['CUSTOMER', 'REFUNDS']), z.string()]).optional(),
});

/**
 * @param idKey makes the ids; a key is made from it, which always opens, and seals where no other is given.
 * @param keys the first one seals, all of them open.
 * @param isSealing whether anything travels at all; what travelled before is opened in any case.
 */
export function createOriginSeal({
  idKey,
  keys = [],
  isSealing = true,
}: {
  readonly idKey: Uint8Array;
  readonly keys?: readonly SealKey[];
  readonly isSealing?: boolean;
}): OriginSeal {
  const derived: SealKey = { id: DERIVED_KEY_ID, key: derive(idKey, 'sluice withdrawal origin') };
  const rings = new Map([derived, ...keys].map(({ id, key }) => [id, ringOf(id, key)]));
  const current = rings.get((keys[0] ?? derived).id);
  return {
    seal: (origin, transfer) => (isSealing && current !== undefined ? sealWith(current, origin, transfer) : null),
    open: (sealed, transfer) => {
      const parts = readFrame(sealed);
      const ring = parts === null ? undefined : rings.get(parts.keyId);
      const origin = parts === null || ring === undefined ? null : openWith(ring, parts.body, transfer);
      if (origin === null) return null;
      return withdrawalId(idKey, origin.client, origin.idempotencyKey) === transfer.withdrawalId ? origin : null;
    },
  };
}

/** What a transfer of the withdrawal carries. Without a memo its id stands in the memo's place, so that a receiver can name it. */
export function metadataOf(withdrawal: {
  readonly id: string;
  readonly memo: string | null;
  readonly sealedOrigin: string | null;
}): Record<string, string> {
  const { id, memo, sealedOrigin } = withdrawal;
  return {
    [META_REASON]: memo ?? id,
    [META_WITHDRAWAL]: id,
    ...(sealedOrigin !== null && { [META_ORIGIN]: sealedOrigin }),
  };
}

/** The inverse of {@link metadataOf}. @returns null where no withdrawal is named. */
export function withdrawalOfMetadata(
  values: Readonly<Record<string, string>>,
): { readonly id: string; readonly memo: string | null; readonly sealedOrigin: string | null } | null {
  const id = values[META_WITHDRAWAL];
  if (id === undefined) return null;
  const reason = values[META_REASON] ?? id;
  return { id, memo: reason === id ? null : reason, sealedOrigin: values[META_ORIGIN] ?? null };
}

type Ring = { readonly id: string; readonly sealing: Uint8Array; readonly naming: Uint8Array };

function ringOf(id: string, key: Uint8Array): Ring {
  return { id, sealing: derive(key, 'sluice origin sealing'), naming: derive(key, 'sluice origin nonce') };
}

function derive(key: Uint8Array, info: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', key, new Uint8Array(0), info, KEY_BYTES));
}

function sealWith(ring: Ring, origin: WithdrawalOrigin, transfer: SealedTransfer): string {
  const { client, idempotencyKey, account, requestHash, payer } = origin;
  const isPlain = payer.kind === 'CUSTOMER' && payer.owner === account;
  const text = JSON.stringify({
    c: client,
    k: idempotencyKey,
    a: account,
    h: Buffer.from(requestHash).toString('base64url'),
    ...(!isPlain && { p: [payer.kind, payer.owner] }),
  });
  const facts = boundTo(ring.id, transfer);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(facts.length);
  const nonce = createHmac('sha256', ring.naming).update(length).update(facts).update(text).digest();
  const cipher = createCipheriv('aes-256-gcm', ring.sealing, nonce.subarray(0, NONCE_BYTES)).setAAD(facts);
  const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  const sealed = Buffer.concat([nonce.subarray(0, NONCE_BYTES), body, cipher.getAuthTag()]);
  return `${VERSION}.${ring.id}.${sealed.toString('base64url')}`;
}

function openWith(ring: Ring, sealed: Buffer, transfer: SealedTransfer): WithdrawalOrigin | null {
  if (sealed.length <= NONCE_BYTES + TAG_BYTES) return null;
  const decipher = createDecipheriv('aes-256-gcm', ring.sealing, sealed.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  })
    .setAAD(boundTo(ring.id, transfer))
    .setAuthTag(sealed.subarray(-TAG_BYTES));
  try {
    const text = Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
    const { c, k, a, h, p } = inside.parse(JSON.parse(text.toString('utf8')));
    return {
      client: c,
      idempotencyKey: k,
      account: a,
      requestHash: new Uint8Array(Buffer.from(h, 'base64url')),
      payer: p === undefined ? { kind: 'CUSTOMER', owner: a } : { kind: p[0], owner: p[1] },
    };
  } catch {
    return null; // Forged, cut off, or of another transfer: the tag does not fit, and there is nothing to say of why.
  }
}

function boundTo(keyId: string, { withdrawalId: id, receiver, instrument, amount, memo }: SealedTransfer): Buffer {
  return Buffer.from(
    JSON.stringify([VERSION, keyId, id, receiver, instrument.admin, instrument.id, formatAmount(amount), memo]),
  );
}

function readFrame(sealed: string): { readonly keyId: string; readonly body: Buffer } | null {
  if (sealed.length > SEALED_CHARACTERS_MAX) return null;
  const [, keyId, body] = /^1\.([A-Za-z0-9_-]{1,16})\.([A-Za-z0-9_-]+)$/.exec(sealed) ?? [];
  return keyId === undefined || body === undefined ? null : { keyId, body: Buffer.from(body, 'base64url') };
}

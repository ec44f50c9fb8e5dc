/** E19, Z13: what travels with a transfer opens for that transfer alone, and only where it makes the id it stands beside. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseAmount } from '../tokens/amount.ts';
import { withdrawalId } from '../tokens/ids.ts';
import {
  createOriginSeal,
  metadataOf,
  type SealedTransfer,
  type WithdrawalOrigin,
  withdrawalOfMetadata,
} from './transfer-metadata.ts';

const idKey = new Uint8Array(32).fill(1);
const origin: WithdrawalOrigin = {
  client: 'exchange',
  idempotencyKey: 'w-2026-11-22-000017',
  account: 'customer-17',
  requestHash: new Uint8Array(32).fill(255),
  payer: { kind: 'CUSTOMER', owner: 'customer-17' },
};
const transfer: SealedTransfer = {
  withdrawalId: withdrawalId(idKey, origin.client, origin.idempotencyKey),
  receiver: 'bob::1220aa',
  instrument: { admin: 'DSO::1220bb', id: 'Amulet' },
  amount: parseAmount('12.5'),
  memo: null,
};
const seal = createOriginSeal({ idKey });
const sealed = seal.seal(origin, transfer) ?? '';

test('what is sealed opens, and is the same text each time', () => {
  expect(seal.open(sealed, transfer)).toEqual(origin);
  expect(createOriginSeal({ idKey }).seal(origin, transfer)).toBe(sealed);
  expect(sealed).not.toContain('customer');
});

test('a refund keeps the account that pays it', () => {
  const refund: WithdrawalOrigin = { ...origin, account: 'tr_1', payer: { kind: 'REFUNDS', owner: 'tr_1' } };
  expect(seal.open(seal.seal(refund, transfer) ?? '', transfer)).toEqual(refund);
});

test('any origin of well-formed texts survives, in at most 2,000 characters', () => {
  const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 63 });
  fc.assert(
    fc.property(text, text, text, (client, idempotencyKey, account) => {
      const one: WithdrawalOrigin = {
        ...origin,
        client,
        idempotencyKey,
        account,
        payer: { kind: 'CUSTOMER', owner: account },
      };
      const to = { ...transfer, withdrawalId: withdrawalId(idKey, client, idempotencyKey) };
      const text = seal.seal(one, to) ?? '';
      expect(seal.open(text, to)).toEqual(one);
    }),
  );
  const long = 'x'.repeat(255);
  const longest: WithdrawalOrigin = {
    ...origin,
    client: 'c'.repeat(64),
    idempotencyKey: long,
    account: long,
    payer: { kind: 'REFUNDS', owner: long },
  };
  expect((seal.seal(longest, transfer) ?? '').length).toBeLessThan(2_000);
  expect(
    (
      seal.seal(
        {
          ...origin,
          client: 'exchange-1',
          account: 'x'.repeat(20),
          idempotencyKey: 'k'.repeat(36),
          payer: { kind: 'CUSTOMER', owner: 'x'.repeat(20) },
        },
        transfer,
      ) ?? ''
    ).length,
  ).toBe(226);
});

test.each([
  ['another withdrawal', { withdrawalId: withdrawalId(idKey, 'exchange', 'other') }],
  ['another receiver', { receiver: 'mallory::1220cc' }],
  ['another instrument', { instrument: { admin: 'DSO::1220bb', id: 'Other' } }],
  ['another admin', { instrument: { admin: 'mallory::1220cc', id: 'Amulet' } }],
  ['another amount', { amount: parseAmount('12.6') }],
  ['another memo', { memo: 'hello' }],
])('E19: a seal that was copied to %s does not open', (_what, difference) => {
  expect(seal.open(sealed, { ...transfer, ...difference })).toBeNull();
});

test('E19: what our own key sealed for an id that its client and key do not make does not open', () => {
  const forged = { ...transfer, withdrawalId: 'wd_0000000000000000000000000000000000000000' };
  expect(seal.open(seal.seal(origin, forged) ?? '', forged)).toBeNull();
});

test('any change of the text, and any other text, does not open', () => {
  fc.assert(
    fc.property(fc.nat(sealed.length - 1), fc.constantFrom(...'AZaz09-_.'), (at, character) => {
      fc.pre(sealed[at] !== character);
      const changed = sealed.slice(0, at) + character + sealed.slice(at + 1);
      // The last character of base64 holds bits that stand for nothing.
      if (Buffer.from(changed.slice(4), 'base64url').equals(Buffer.from(sealed.slice(4), 'base64url'))) return;
      expect(seal.open(changed, transfer)).toBeNull();
    }),
  );
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(seal.open(text, transfer)).toBeNull();
    }),
  );
  expect(seal.open(`1.0.${'A'.repeat(10_000)}`, transfer)).toBeNull();
});

test('keys are changed by putting a new one first; what the old ones sealed still opens, what an unknown one sealed does not', () => {
  const keys = [{ id: 'k1', key: new Uint8Array(32).fill(2) }];
  const rotated = createOriginSeal({ idKey, keys: [{ id: 'k2', key: new Uint8Array(32).fill(3) }, ...keys] });
  const first = createOriginSeal({ idKey, keys });
  const byFirst = first.seal(origin, transfer) ?? '';
  expect(byFirst).toMatch(/^1\.k1\./);
  expect(rotated.seal(origin, transfer)).toMatch(/^1\.k2\./);
  expect(rotated.open(byFirst, transfer)).toEqual(origin);
  expect(rotated.open(sealed, transfer)).toEqual(origin);
  expect(seal.open(byFirst, transfer)).toBeNull();
  expect(createOriginSeal({ idKey: new Uint8Array(32).fill(9) }).open(sealed, transfer)).toBeNull();
});

test('where it is off nothing is sealed, and what was still opens', () => {
  const off = createOriginSeal({ idKey, isSealing: false });
  expect(off.seal(origin, transfer)).toBeNull();
  expect(off.open(sealed, transfer)).toEqual(origin);
});

test('metadata names the withdrawal, its memo or in its place the id, and what is sealed', () => {
  for (const memo of [null, 'pay me']) {
    for (const sealedOrigin of [null, sealed]) {
      const one = { id: transfer.withdrawalId, memo, sealedOrigin };
      expect(withdrawalOfMetadata(metadataOf(one))).toEqual(one);
    }
  }
  expect(withdrawalOfMetadata({})).toBeNull();
});

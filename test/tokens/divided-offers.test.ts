/** Offers of the second generation name accounts: what is for a part of what a party has is told from what is for all of it. */
import { expect, test } from 'vitest';
import { transferOfJson, transferToJson } from '../../src/tokens/transfer-record.ts';
import { instructionView } from '../../src/tokens/views.ts';
import { ALICE, type Division, offer, PROVIDER, TREASURY, type Views } from './corpus/contracts.ts';
import { seenBy } from './corpus/tree.ts';

function transferOf(views: Views, division: Division) {
  const tree = offer('00offer', { sender: ALICE, receiver: TREASURY, amount: '5', division }, { views });
  const [created] = seenBy([tree], TREASURY);
  if (created?.event?.$case !== 'created') throw new Error('No offer.');
  const view = instructionView(created.event.value);
  if (view === undefined) throw new Error('No view.');
  return view.transfer;
}

test.each<[Views, Division]>([
  ['V2', { provider: PROVIDER }],
  ['V2', { id: 'savings' }],
  ['BOTH', { provider: PROVIDER }],
  ['BOTH', { id: 'savings' }],
])('an offer with views %s to the account %j is to a part of what the treasury has', (views, division) => {
  const transfer = transferOf(views, division);
  expect(transfer).toMatchObject({ receiver: TREASURY, isToPart: true });
  const stored = transferToJson(transfer);
  expect(stored).toMatchObject({ isToPart: true });
  expect(transferOfJson(stored)).toEqual(transfer);
});

test.each<Views>(['V1', 'V2', 'BOTH'])('an offer with views %s to the plain account is to all of it', (views) => {
  const transfer = transferOf(views, {});
  expect(transfer).not.toHaveProperty('isToPart');
  expect(transferToJson(transfer)).not.toHaveProperty('isToPart');
});

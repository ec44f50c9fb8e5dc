/**
 * What we sign when we take an offer of ours back: what the simulated network prepares for each kind of token, as it is and as a lying node would have it. Every lie is consistent: the node claims the
 * hash of what it sends.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { checkIntent } from '../../src/custody/intent-check.ts';
import { OFFER_CHOICES } from '../../src/custody/offer-argument.ts';
import type { OfferIntent } from '../../src/custody/offer-intent.ts';
import { IMPLEMENTATIONS } from '../../src/custody/registry-implementations.ts';
import { preparedTransactionHash } from '../../src/custody/transaction-hash.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { PreparedTransaction } from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type { Create } from '../../src/gen/com/daml/ledger/api/v2/interactive/transaction/v1/interactive_submission_data.ts';
import { amountOf, parseAmount } from '../../src/tokens/amount.ts';
import { rounds } from '../support/tier.ts';
import { exercise, fieldOf, nodesOf, set } from './attack.ts';
import { MUTATIONS, mutateBytes, pick } from './mutations.ts';
import { CASES as OFFERS, outcome, prepare, REFUSED, RULES, type Sample } from './offer-samples.ts';
import { refusalOf } from './refusal-of.ts';

/** Changes to the message, per kind of offer. SLUICE_FUZZ_CASES sets how many. */
const CASES = Number(process.env['SLUICE_FUZZ_CASES'] ?? rounds(100, 2_000));
const MS_PER_CASE = 60; // Generous: a shared machine, a check and two hashes.

describe.each(OFFERS)('an offer of ours of $instrument, said to be $implementation, $generation packages', (each) => {
  let sample: Sample;
  beforeAll(async () => {
    sample = await prepare(each, 'WITHDRAW');
  });

  const returnedTo = (prepared: PreparedTransaction, owner: string): Create => {
    const consumed = new Set(
      nodesOf(prepared).flatMap((type) =>
        type.$case === 'exercise' && type.value.consuming ? [type.value.contractId] : [],
      ),
    );
    const holding = nodesOf(prepared)
      .flatMap((type) => (type.$case === 'create' ? [type.value] : []))
      .find(({ contractId, stakeholders }) => stakeholders.includes(owner) && !consumed.has(contractId));
    if (holding === undefined) throw new Error('Nothing comes back.');
    return holding;
  };

  it('is taken back as it is', () => {
    expect(outcome(sample)).toBe('signed');
  });

  it('is taken back after its deadline, too', () => {
    const change = ({ metadata }: PreparedTransaction): void => {
      metadata!.minLedgerEffectiveTime = sample.recordTime;
    };
    const intent = { executeBefore: sample.recordTime - 1n, requestedAt: sample.recordTime - 2n };
    // The offer itself says when it ends, where it can be read.
    expect(outcome(sample, { change, intent })).toBe(RULES[each.instrument] === 'OTHER' ? 'signed' : 'INTENT_OFFER');
  });

  it.each<[string, (intent: OfferIntent) => Partial<OfferIntent>]>([
    ['another offer', () => ({ offer: '00ff' })],
    ['another amount', () => ({ amount: parseAmount('6.6') })],
    ['us as somebody else', () => ({ sender: 'mallory::1220' })],
    ['another receiver', () => ({ receiver: 'mallory::1220' })],
    ['another admin', () => ({ instrument: { admin: 'mallory::1220', id: 'Amulet' } })],
    ['another context', () => ({ choiceContext: new Map([['x', { sum: { $case: 'text', value: 'y' } }]]) })],
    ['another command', () => ({ commandId: 'command-2' })],
    ['another last record time', () => ({ maxRecordTime: 1n })],
    ['a lock that is gone', () => ({ locked: [] })],
    [
      'a lock on more',
      ({ locked }) => ({ locked: locked.map((one) => ({ ...one, amount: amountOf(one.amount + 1n) })) }),
    ],
    ['a lock on another holding', ({ locked }) => ({ locked: locked.map((one) => ({ ...one, contractId: '00ab' })) })],
    ['a second lock', ({ locked }) => ({ locked: [...locked, { contractId: '00ab', amount: parseAmount('1') }] })],
    ['a rejection', () => ({ kind: 'REJECT', locked: [] })],
    ['an acceptance', () => ({ kind: 'ACCEPT', locked: [] })],
    ['a rejection that locks', () => ({ kind: 'REJECT' })],
  ])('Z14: is not signed where we meant %s', (_what, intent) => {
    expect(outcome(sample, { intent: intent(sample.intent) })).toMatch(REFUSED);
  });

  it.each<[string, (prepared: PreparedTransaction, holding: Create) => void]>([
    [
      'comes back to a stranger',
      (_prepared, holding) => {
        const swap = (party: string): string => (party === sample.intent.sender ? sample.stranger : party);
        holding.signatories = holding.signatories.map(swap).sort();
        holding.stakeholders = holding.stakeholders.map(swap).sort();
      },
    ],
    [
      'comes back with a part for the receiver',
      (_prepared, holding) => {
        holding.stakeholders = [...new Set([...holding.stakeholders, sample.intent.receiver])].sort();
      },
    ],
    [
      'comes back without the admin’s word',
      (_prepared, holding) => {
        holding.signatories = holding.signatories.filter((party) => party !== sample.intent.instrument.admin);
      },
    ],
    [
      'is named twice',
      (prepared, holding) => {
        const change = fieldOf(exercise(prepared, OFFER_CHOICES.WITHDRAW).exerciseResult, 'senderChangeCids');
        const element = { sum: { $case: 'contractId' as const, value: holding.contractId } };
        set(change, { $case: 'list', value: { elements: [element, element] } });
      },
    ],
    [
      'is not named',
      (prepared) => {
        const change = fieldOf(exercise(prepared, OFFER_CHOICES.WITHDRAW).exerciseResult, 'senderChangeCids');
        set(change, { $case: 'list', value: { elements: [] } });
      },
    ],
  ])('Z14: is not signed where what comes back %s', (_what, change) => {
    const lie = (prepared: PreparedTransaction): void => change(prepared, returnedTo(prepared, sample.intent.sender));
    expect(outcome(sample, { change: lie })).toMatch(REFUSED);
  });

  it('Z14: is not signed where less comes back', () => {
    const lessen = (value: unknown): void => {
      if (typeof value !== 'object' || value === null) return;
      if ('$case' in value && value.$case === 'numeric' && 'value' in value && value.value === '6.5000000000') {
        value.value = '6.4999999999';
      }
      for (const part of Object.values(value)) lessen(part);
    };
    const change = (prepared: PreparedTransaction): void => lessen(returnedTo(prepared, sample.intent.sender).argument);
    expect(outcome(sample, { change })).toMatch(REFUSED);
  });

  it('Z14: is never signed with another meaning, whatever is done to the message', {
    timeout: CASES * MS_PER_CASE + 30_000,
  }, () => {
    const random = createSeededRandom(19);
    const facts = (bytes: Uint8Array): unknown => {
      const prepared = PreparedTransaction.decode(bytes);
      const isNew = new Set(
        nodesOf(prepared).flatMap((type) => (type.$case === 'create' ? [type.value.contractId] : [])),
      );
      const spent = nodesOf(prepared).flatMap((type) =>
        type.$case === 'exercise' && type.value.consuming && !isNew.has(type.value.contractId)
          ? [type.value.contractId]
          : [],
      );
      const made = nodesOf(prepared).flatMap((type) =>
        type.$case === 'create' && type.value.stakeholders.includes(sample.intent.sender)
          ? [
              {
                signatories: type.value.signatories,
                isReceivers: type.value.stakeholders.includes(sample.intent.receiver),
                holding: IMPLEMENTATIONS[RULES[each.instrument]]?.holding(type.value),
              },
            ]
          : [],
      );
      return { spent: spent.sort(), made };
    };
    /** Of a registry whose contracts cannot be read: what of ours goes, and for how many of us and of the receiver something stays. */
    const outline = (bytes: Uint8Array): unknown => {
      const types = nodesOf(PreparedTransaction.decode(bytes));
      const made = types.flatMap((type) => (type.$case === 'create' ? [type.value] : []));
      const ends = types.flatMap((type) => (type.$case === 'exercise' && type.value.consuming ? [type.value] : []));
      const gone = new Set(ends.map(({ contractId }) => contractId));
      const left = (party: string): number =>
        made.filter(({ contractId, stakeholders }) => !gone.has(contractId) && stakeholders.includes(party)).length;
      const isNew = new Set(made.map(({ contractId }) => contractId));
      const { sender, receiver } = sample.intent;
      const spent = ends.filter(
        ({ contractId, stakeholders }) => !isNew.has(contractId) && stakeholders.includes(sender),
      );
      return { spent: spent.map(({ contractId }) => contractId).sort(), ours: left(sender), theirs: left(receiver) };
    };
    const outlined = outline(sample.bytes);
    const original = facts(sample.bytes);
    let refused = 0;
    for (let index = 0; index < CASES; index += 1) {
      const prepared = PreparedTransaction.decode(sample.bytes);
      let bytes: Uint8Array;
      let nodeHash: Uint8Array;
      try {
        pick(random, Object.values(MUTATIONS))(prepared, random);
        bytes = PreparedTransaction.encode(prepared).finish();
        nodeHash = preparedTransactionHash(PreparedTransaction.decode(bytes), 'V3');
      } catch {
        continue; // There is nothing of that kind to change, or no node could send or hash it.
      }
      const said = refusalOf(() =>
        checkIntent(
          sample.intent,
          { preparedTransaction: bytes, scheme: 'V3', nodeHash },
          { recordTime: sample.recordTime, toleranceMicros: 600_000_000n },
        ),
      );
      if (said !== 'signed') refused += 1;
      else if (RULES[each.instrument] !== 'OTHER') expect(facts(bytes)).toEqual(original);
      else expect(outline(bytes)).toEqual(outlined);
    }
    expect(refused).toBeGreaterThan(20);
  });

  it('Z14: damaged bytes are not signed', () => {
    const random = createSeededRandom(20);
    for (let index = 0; index < 100; index += 1) {
      const bytes = mutateBytes(sample.bytes, random);
      if (Buffer.compare(bytes, sample.bytes) === 0) continue;
      const said = refusalOf(() =>
        checkIntent(
          sample.intent,
          { preparedTransaction: bytes, scheme: 'V3', nodeHash: new Uint8Array(32) },
          { recordTime: sample.recordTime, toleranceMicros: 600_000_000n },
        ),
      );
      expect(said).toMatch(REFUSED);
    }
  });
});

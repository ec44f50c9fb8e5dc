/**
 * What we sign of an acceptance, a rejection or the return of an offer of ours: transactions that the simulated network prepares for each kind of token, as they are and as a lying node would have them. Every lie is consistent:
 * the node claims the hash of what it sends.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { type Intent, inputsOf } from '../../src/custody/intent.ts';
import { checkIntent } from '../../src/custody/intent-check.ts';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { OFFER_CHOICES } from '../../src/custody/offer-argument.ts';
import type { OfferIntent } from '../../src/custody/offer-intent.ts';
import { IMPLEMENTATIONS } from '../../src/custody/registry-implementations.ts';
import { preparedTransactionHash } from '../../src/custody/transaction-hash.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { PreparedTransaction } from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type { Create } from '../../src/gen/com/daml/ledger/api/v2/interactive/transaction/v1/interactive_submission_data.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { exercise, fieldOf, nodesOf, set } from './attack.ts';
import { MUTATIONS, mutateBytes, pick } from './mutations.ts';
import { CASES, outcome, prepare, REFUSED, RULES, type Sample } from './offer-samples.ts';
import { refusalOf, refusalOfAsync } from './refusal-of.ts';

describe.each(CASES)('an offer of $instrument, said to be $implementation, $generation packages', (each) => {
  let accepted: Sample;
  let rejected: Sample;
  beforeAll(async () => {
    accepted = await prepare(each, 'ACCEPT');
    rejected = await prepare(each, 'REJECT');
  });

  it('is signed as it is, to accept and to reject', () => {
    expect(outcome(accepted)).toBe('signed');
    expect(outcome(rejected)).toBe('signed');
  });

  it('is not signed for the other end', () => {
    expect(outcome({ ...rejected, intent: { ...rejected.intent, kind: 'ACCEPT' } })).toBe('INTENT_ROOT');
    expect(outcome({ ...accepted, intent: { ...accepted.intent, kind: 'REJECT' } })).toBe('INTENT_ROOT');
  });

  it.each<[string, Partial<OfferIntent>]>([
    ['another offer', { offer: '00ff' }],
    ['another amount', { amount: parseAmount('6.6') }],
    ['another sender', { sender: 'mallory::1220' }],
    ['us as somebody else', { receiver: 'mallory::1220' }],
    ['another admin', { instrument: { admin: 'mallory::1220', id: 'Amulet' } }],
    ['another context', { choiceContext: new Map([['x', { sum: { $case: 'text', value: 'y' } }]]) }],
    ['another command', { commandId: 'command-2' }],
    ['another synchronizer', { synchronizerId: 'other::1220' }],
    ['another last record time', { maxRecordTime: 1n }],
    ['a deadline that has passed', { executeBefore: 2n, requestedAt: 1n }],
  ])('Z14: is not signed where we meant %s', (_what, intent) => {
    expect(outcome(accepted, { intent })).toMatch(REFUSED);
  });

  it('Z10: is not signed where the offer is of another instrument of the same name', () => {
    const { id } = accepted.intent.instrument;
    expect(outcome(accepted, { intent: { instrument: { admin: accepted.stranger, id } } })).toMatch(REFUSED);
  });

  it('Z14: is not signed where our holding is changed in any way', () => {
    const ours = (prepared: PreparedTransaction): Create => {
      const holding = nodesOf(prepared)
        .flatMap((type) => (type.$case === 'create' ? [type.value] : []))
        .find(({ signatories }) => signatories.includes(accepted.intent.receiver));
      if (holding === undefined) throw new Error('No holding of ours.');
      return holding;
    };
    const changes: Record<string, (prepared: PreparedTransaction) => void> = {
      'not signed by the admin': (prepared) => {
        const holding = ours(prepared);
        holding.signatories = holding.signatories.filter((party) => party !== accepted.intent.instrument.admin);
      },
      'shown to a stranger': (prepared) => {
        const holding = ours(prepared);
        holding.stakeholders = [...holding.stakeholders, accepted.stranger].sort();
      },
      'signed by the sender too': (prepared) => {
        const holding = ours(prepared);
        holding.signatories = [...holding.signatories, accepted.intent.sender].sort();
        holding.stakeholders = [...holding.stakeholders, accepted.intent.sender].sort();
      },
      'a second one beside it': (prepared) => {
        const holding = ours(prepared);
        const { nodes, nodeSeeds } = prepared.transaction!;
        const nodeId = Math.max(...nodes.map((node) => Number(node.nodeId))) + 1;
        const value = { ...structuredClone(holding), contractId: `${holding.contractId.slice(0, -2)}00` };
        nodes.push({
          nodeId: String(nodeId),
          versionedNode: { $case: 'v1', value: { nodeType: { $case: 'create', value } } },
        });
        nodeSeeds.push({ nodeId, seed: new Uint8Array(32).fill(9) });
        exercise(prepared, OFFER_CHOICES.ACCEPT).children.push(String(nodeId));
      },
    };
    for (const [what, change] of Object.entries(changes)) {
      expect(outcome(accepted, { change }), what).toMatch(REFUSED);
    }
  });

  it('Z14: is not signed where a contract of ours is spent beside it', () => {
    const change = (prepared: PreparedTransaction): void => {
      // Our own fifty, archived below the choice by all who signed it: with the offer's authority and ours that would go.
      const { nodes, nodeSeeds } = prepared.transaction!;
      const model = nodesOf(prepared).find((type) => type.$case === 'exercise' && type.value.choiceId === 'Archive');
      const holding = nodesOf(prepared)
        .flatMap((type) => (type.$case === 'create' ? [type.value] : []))
        .find(({ signatories }) => signatories.includes(accepted.intent.receiver));
      if (holding === undefined) throw new Error('No holding of ours.');
      const spent: Create = { ...structuredClone(holding), contractId: `00${'ab'.repeat(32)}ca1112200318b7f84066` };
      prepared.metadata!.inputContracts.push({
        contract: { $case: 'v1', value: spent },
        createdAt: 1n,
        eventBlob: new Uint8Array([1]),
      });
      const nodeId = Math.max(...nodes.map((node) => Number(node.nodeId))) + 1;
      const archive = {
        lfVersion: spent.lfVersion,
        contractId: spent.contractId,
        packageName: spent.packageName,
        templateId: spent.templateId,
        signatories: spent.signatories,
        stakeholders: spent.stakeholders,
        actingParties: spent.signatories,
        interfaceId: undefined,
        choiceId: 'Archive',
        chosenValue:
          model?.$case === 'exercise'
            ? model.value.chosenValue
            : {
                sum: {
                  $case: 'record' as const,
                  value: {
                    recordId: { packageId: '00', moduleName: 'DA.Internal.Template', entityName: 'Archive' },
                    fields: [],
                  },
                },
              },
        consuming: true,
        children: [],
        exerciseResult: { sum: { $case: 'unit' as const, value: {} } },
        choiceObservers: [],
        byKey: false,
        externalCallResults: [],
        key: undefined,
      };
      nodes.push({
        nodeId: String(nodeId),
        versionedNode: { $case: 'v1', value: { nodeType: { $case: 'exercise', value: archive } } },
      });
      nodeSeeds.push({ nodeId, seed: new Uint8Array(32).fill(9) });
      exercise(prepared, OFFER_CHOICES.ACCEPT).children.push(String(nodeId));
    };
    expect(outcome(accepted, { change })).toBe('INTENT_INPUTS');
  });

  it('Z14: is not signed where the result names something else', () => {
    const change = (prepared: PreparedTransaction): void => {
      const output = fieldOf(exercise(prepared, OFFER_CHOICES.ACCEPT).exerciseResult, 'output').sum;
      if (output?.$case !== 'variant') throw new Error('The output is a variant.');
      const holdings = fieldOf(output.value.value, 'receiverHoldingCids');
      set(holdings, { $case: 'list', value: { elements: [{ sum: { $case: 'contractId', value: '00ff' } }] } });
    };
    expect(outcome(accepted, { change })).toBe('INTENT_HOLDINGS');
  });

  it('Z14: is never signed with another meaning, whatever is done to the message', { timeout: 120_000 }, () => {
    const random = createSeededRandom(17);
    const facts = ({ bytes }: { readonly bytes: Uint8Array }): unknown => {
      const prepared = PreparedTransaction.decode(bytes);
      const spent = nodesOf(prepared).flatMap((type) =>
        type.$case === 'exercise' && type.value.consuming ? [type.value.contractId] : [],
      );
      const made = nodesOf(prepared).flatMap((type) =>
        type.$case === 'create' && type.value.stakeholders.includes(accepted.intent.receiver)
          ? [
              {
                signatories: type.value.signatories,
                stakeholders: type.value.stakeholders,
                holding: IMPLEMENTATIONS[RULES[each.instrument]]?.holding(type.value),
              },
            ]
          : [],
      );
      return { spent: spent.sort(), made };
    };
    const original = facts(accepted);
    let refused = 0;
    for (let index = 0; index < 120; index += 1) {
      const prepared = PreparedTransaction.decode(accepted.bytes);
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
          accepted.intent,
          { preparedTransaction: bytes, scheme: 'V3', nodeHash },
          { recordTime: accepted.recordTime, toleranceMicros: 600_000_000n },
        ),
      );
      if (said === 'signed') {
        if (RULES[each.instrument] !== 'OTHER') expect(facts({ bytes })).toEqual(original);
      } else refused += 1;
    }
    expect(refused).toBeGreaterThan(10);
  });

  it('Z14: damaged bytes are not signed', () => {
    const random = createSeededRandom(18);
    for (let index = 0; index < 100; index += 1) {
      const bytes = mutateBytes(accepted.bytes, random);
      if (Buffer.compare(bytes, accepted.bytes) === 0) continue;
      const said = refusalOf(() =>
        checkIntent(
          accepted.intent,
          { preparedTransaction: bytes, scheme: 'V3', nodeHash: new Uint8Array(32) },
          { recordTime: accepted.recordTime, toleranceMicros: 600_000_000n },
        ),
      );
      expect(said).toMatch(REFUSED);
    }
  });
});

describe('an offer whose registry goes on after the acceptance', () => {
  it('is signed: what takes its place is ours and the admin’s', async () => {
    const sample = await prepare({ instrument: 'note', implementation: 'OTHER', generation: 'new' }, 'ACCEPT', true);

    expect(outcome(sample)).toBe('signed');
  });
});

describe('a signer', () => {
  it('signs the end of one offer under a submission, never of another, nor another end', async () => {
    const sample = await prepare(
      { instrument: 'usd', implementation: 'UTILITY_REGISTRY', generation: 'new' },
      'ACCEPT',
    );
    const other = await prepare({ instrument: 'usd', implementation: 'UTILITY_REGISTRY', generation: 'new' }, 'REJECT');
    const signer = createLocalSigner({ privateKey: ed25519PrivateKey(new Uint8Array(32).fill(7)) });
    const request = ({ intent, bytes, recordTime }: Sample, requestId: string, attempt = 1) => ({
      requestId,
      submissionId: 'submission-1',
      attempt,
      earlierAttempts: [],
      inputsSpentElsewhere: [],
      intent: intent as Intent,
      prepared: {
        preparedTransaction: bytes,
        scheme: 'V3' as const,
        nodeHash: preparedTransactionHash(PreparedTransaction.decode(bytes), 'V3'),
      },
      recordTime,
    });
    expect(inputsOf(sample.intent)).toEqual([sample.intent.offer]);
    await signer.sign(request(sample, 'one'));

    expect(await refusalOfAsync(() => signer.sign(request(other, 'two')))).toBe('SIGNING_SUBMISSION_CHANGED');
    const gone = { ...request(sample, 'three', 2), earlierAttempts: [{ attempt: 1, inputs: ['00aa'] }] };
    expect(await refusalOfAsync(() => signer.sign(gone))).toBe('SIGNING_INPUT_NOT_KEPT');
  });
});

/** What the simulated network refuses, and what it never changes: sums, and the outcome of the same seed. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createSeededRandom } from '../../src/env/random.ts';
import { Transaction } from '../../src/gen/com/daml/ledger/api/v2/transaction.ts';
import { createCustomers } from '../../src/simnet/customers.ts';
import { decimalOfUnits, unitsOfDecimal } from '../../src/simnet/daml/decimal.ts';
import type { Refusal } from '../../src/simnet/ledger/canton-error.ts';
import { isCantonError } from '../../src/simnet/ledger/canton-error.ts';
import type { InterpretRequest } from '../../src/simnet/ledger/ledger.ts';
import type { Network } from '../../src/simnet/network.ts';
import { holdingOf, holdingsOf } from '../../src/simnet/network-commands.ts';
import { START_MICROS, silentLogger, startNetwork, transactionsSeen } from './harness.ts';

/** The refusal that `act` meets. */
function refusalOf(act: () => unknown): Refusal {
  try {
    act();
  } catch (error) {
    if (isCantonError(error)) return error.refusal;
    throw error;
  }
  throw new Error('It was not refused.');
}

const holdings = (network: Network, owner: string, instrument = 'amulet'): readonly string[] =>
  holdingsOf(network.ledger.contracts, network.party(owner), network.instrument(instrument)).map(
    ({ contractId }) => contractId,
  );

const direct = { instrument: 'amulet', sender: 'alice', receiver: 'treasury' } as const;

test('a holding is spent once', () => {
  const { network } = startNetwork();
  network.tap({ instrument: 'amulet', owner: 'alice', amount: '10' });
  const inputHoldingCids = holdings(network, 'alice');
  network.transfer({ ...direct, amount: '4', inputHoldingCids });

  const refusal = refusalOf(() => network.transfer({ ...direct, amount: '4', inputHoldingCids }));

  expect(refusal).toMatchObject({ code: 'CONTRACT_NOT_ACTIVE', category: 'resourceMissing', definiteAnswer: true });
  expect(refusal.resources).toEqual([{ type: 'CONTRACT_ID', name: inputHoldingCids[0] }]);
});

test('a holding named twice in one transfer is spent once', () => {
  const { network } = startNetwork();
  network.tap({ instrument: 'note', owner: 'alice', amount: '10' });
  const [cid = ''] = holdings(network, 'alice', 'note');

  const refusal = refusalOf(() =>
    network.transfer({ ...direct, instrument: 'note', amount: '20', inputHoldingCids: [cid, cid] }),
  );

  expect(refusal.code).toBe('CONTRACT_NOT_ACTIVE');
  expect(network.balance({ instrument: 'note', owner: 'alice' })).toBe('10.0000000000');
});

test('of two transactions interpreted side by side, the one committed later is refused', () => {
  const { network } = startNetwork();
  network.tap({ instrument: 'note', owner: 'alice', amount: '10' });
  const [contractId = ''] = holdings(network, 'alice', 'note');
  const via = network.participant('participant1');
  const archive: InterpretRequest = {
    commands: [{ kind: 'exercise', contractId, choice: 'Archive', argument: { recordId: undefined, fields: [] } }],
    actAs: [network.party('alice'), network.party('note-issuer')],
    preferredPackages: new Set(),
  };
  const first = network.ledger.interpret(archive);
  const second = network.ledger.interpret(archive);

  network.ledger.commit(first, { via });

  expect(refusalOf(() => network.ledger.commit(second, { via })).code).toBe('LOCAL_VERDICT_INACTIVE_CONTRACTS');
});

test('interpreting changes nothing', () => {
  const { network } = startNetwork();
  network.tap({ instrument: 'note', owner: 'alice', amount: '10' });
  const [contractId = ''] = holdings(network, 'alice', 'note');
  const end = network.participant('participant1').ledgerEnd();

  const { tree } = network.ledger.interpret({
    commands: [{ kind: 'exercise', contractId, choice: 'Archive', argument: { recordId: undefined, fields: [] } }],
    actAs: [network.party('alice'), network.party('note-issuer')],
    preferredPackages: new Set(),
  });

  expect(tree.consumed).toEqual([contractId]);
  expect(holdings(network, 'alice', 'note')).toEqual([contractId]);
  expect(network.participant('participant1').ledgerEnd()).toBe(end);
});

test('nobody archives without the authority of all signatories', () => {
  const { network } = startNetwork();
  network.tap({ instrument: 'note', owner: 'alice', amount: '10' });
  const [contractId = ''] = holdings(network, 'alice', 'note');

  const refusal = refusalOf(() =>
    network.ledger.interpret({
      commands: [{ kind: 'exercise', contractId, choice: 'Archive', argument: { recordId: undefined, fields: [] } }],
      actAs: [network.party('alice')],
      preferredPackages: new Set(),
    }),
  );

  expect(refusal.code).toBe('DAML_AUTHORIZATION_ERROR');
});

test('holdings of somebody else cannot be spent', () => {
  const { network } = startNetwork();
  network.tap({ instrument: 'amulet', owner: 'bob', amount: '10' });

  const refusal = refusalOf(() =>
    network.transfer({ ...direct, amount: '4', inputHoldingCids: holdings(network, 'bob') }),
  );

  expect(refusal.code).toBe('UNHANDLED_EXCEPTION');
});

test.each(['old', 'new'] as const)('the %s package says how much is missing', (generation) => {
  const { network } = startNetwork();
  network.tap({ instrument: 'amulet', owner: 'alice', amount: '10' });

  const refusal = refusalOf(() => network.transfer({ ...direct, amount: '10.0000000001', generation }));

  expect(refusal).toMatchObject({
    code: 'DAML_FAILURE',
    category: 'invalidState',
    metadata: { error_id: 'splice.lfdecentralizedtrust.org/insufficient-funds' },
  });
});

test('more than 100 inputs are refused, 100 are not', () => {
  const { network } = startNetwork();
  for (let index = 0; index < 101; index += 1) network.tap({ instrument: 'amulet', owner: 'alice', amount: '1' });
  const all = holdings(network, 'alice');

  const refusal = refusalOf(() => network.transfer({ ...direct, amount: '101', inputHoldingCids: all }));
  network.transfer({ ...direct, amount: '100', inputHoldingCids: all.slice(0, 100) });

  expect(refusal).toMatchObject({ metadata: { error_id: 'splice.lfdecentralizedtrust.org/maximum-inputs-exceeded' } });
  expect(network.balance({ instrument: 'amulet', owner: 'alice' })).toBe('1.0000000000');
});

test('a receiver without preapproval gets an offer, and may not accept it at or after its deadline', async () => {
  const { network, clock } = startNetwork();
  network.tap({ instrument: 'amulet', owner: 'alice', amount: '10' });
  const executeBeforeMicros = START_MICROS + 60_000_000n;
  const { kind, instructionCid = '' } = network.transfer({
    ...direct,
    receiver: 'bob',
    amount: '4',
    executeBeforeMicros,
  });

  const early = refusalOf(() => network.expire({ instructionCid }));
  await clock.advance(60_000);
  const late = refusalOf(() => network.accept({ instructionCid }));
  network.expire({ instructionCid });

  expect(kind).toBe('pending');
  expect(early.code).toBe('UNHANDLED_EXCEPTION');
  expect(late.code).toBe('UNHANDLED_EXCEPTION');
  expect(network.balance({ instrument: 'amulet', owner: 'alice' })).toBe('10.0000000000');
});

test('an accepted offer cannot end a second time', () => {
  const { network } = startNetwork();
  network.tap({ instrument: 'amulet', owner: 'alice', amount: '10' });
  const { instructionCid = '' } = network.transfer({ ...direct, receiver: 'bob', amount: '4' });
  network.accept({ instructionCid });

  for (const end of ['accept', 'reject', 'withdraw'] as const) {
    expect(refusalOf(() => network[end]({ instructionCid })).code).toBe('CONTRACT_NOT_ACTIVE');
  }
});

test.each(['old', 'new'] as const)(
  'a locked holding is no input before its lock expires, and one after (%s)',
  async (generation) => {
    const { network, clock } = startNetwork();
    network.tap({ instrument: 'amulet', owner: 'alice', amount: '10' });
    network.transfer({ ...direct, receiver: 'bob', amount: '10', executeBeforeMicros: START_MICROS + 60_000_000n });
    const inputHoldingCids = holdings(network, 'alice');

    const refusal = refusalOf(() => network.transfer({ ...direct, amount: '4', inputHoldingCids, generation }));
    await clock.advance(60_000);
    network.transfer({ ...direct, amount: '4', inputHoldingCids, generation });

    expect(refusal.code).toBe('UNHANDLED_EXCEPTION');
    expect(network.balance({ instrument: 'amulet', owner: 'alice' })).toBe('6.0000000000');
  },
);

test('the newer package refuses offers that live longer than 90 days', () => {
  const { network } = startNetwork();
  network.tap({ instrument: 'amulet', owner: 'alice', amount: '10' });
  const executeBeforeMicros = START_MICROS + 90n * 86_400_000_000n;

  network.transfer({ ...direct, receiver: 'bob', amount: '1', executeBeforeMicros, generation: 'new' });
  const refusal = refusalOf(() =>
    network.transfer({
      ...direct,
      receiver: 'bob',
      amount: '1',
      executeBeforeMicros: executeBeforeMicros + 1n,
      generation: 'new',
    }),
  );

  expect(refusal.text).toContain('tokenStandardMaxTTL');
});

test('burning destroys exactly what it says', () => {
  const { network } = startNetwork();
  network.tap({ instrument: 'amulet', owner: 'alice', amount: '10' });

  network.burn({ instrument: 'amulet', owner: 'alice', amount: '3.5' });

  expect(network.balance({ instrument: 'amulet', owner: 'alice' })).toBe('6.5000000000');
});

/** Sum of all active holdings by instrument, whoever owns them. */
function totals(network: Network): Record<string, bigint> {
  const sums: Record<string, bigint> = {};
  for (const contract of network.ledger.contracts.active()) {
    const holding = holdingOf(contract);
    if (holding !== undefined)
      sums[holding.instrumentId.id] = (sums[holding.instrumentId.id] ?? 0n) + holding.amountUnits;
  }
  return sums;
}

const operation = fc.record({
  kind: fc.constantFrom('direct', 'offer', 'accept', 'reject', 'withdraw', 'merge', 'split', 'batch'),
  instrument: fc.constantFrom('amulet', 'usd', 'note'),
  generation: fc.constantFrom('old', 'new'),
  sender: fc.constantFrom('alice', 'bob'),
  units: fc.bigInt({ min: 1n, max: 200_0000000000n }),
});

test('whatever is done and refused, no operation but mint and burn changes the sum of an instrument', () => {
  fc.assert(
    fc.property(fc.array(operation, { minLength: 1, maxLength: 25 }), (operations) => {
      const { network } = startNetwork();
      for (const instrument of ['amulet', 'usd', 'note']) {
        for (const owner of ['alice', 'bob']) network.tap({ instrument, owner, amount: '100' });
      }
      const before = totals(network);
      const offers: string[] = [];

      for (const { kind, instrument, generation, sender, units } of operations) {
        const amount = decimalOfUnits(units);
        const transfer = { instrument, sender, receiver: 'treasury', amount, generation } as const;
        const take = (): string => offers.shift() ?? '';
        try {
          if (kind === 'direct') network.transfer(transfer);
          else if (kind === 'offer') offers.push(network.transfer({ ...transfer, kind }).instructionCid ?? '');
          else if (kind === 'merge') network.merge({ instrument, owner: sender, generation });
          else if (kind === 'split') network.split({ instrument, owner: sender, amount, generation });
          else if (kind === 'batch') {
            const half = { ...transfer, amount: decimalOfUnits(units / 2n + 1n), operation: 'transfer' } as const;
            const { generation: _, ...one } = half;
            network.batch({ generation, operations: [one, one] });
          } else if (offers.length > 0) network[kind]({ instructionCid: take(), generation });
        } catch (error) {
          if (!isCantonError(error)) throw error;
        }
      }

      expect(totals(network)).toEqual(before);
    }),
    { numRuns: 60 },
  );
});

test('the same seed and the same calls give the same bytes on every participant; another seed does not', async () => {
  const run = async (seed: number): Promise<string[]> => {
    const { network, clock } = startNetwork({ random: createSeededRandom(seed) });
    const { run: runCustomers } = createCustomers({
      network,
      clock,
      random: createSeededRandom(seed),
      logger: silentLogger,
      count: 3,
    });
    const running = runCustomers({ intervalMs: 100, activitiesMax: 40, signal: new AbortController().signal });
    let isDone = false;
    void running.then(() => {
      isDone = true;
    });
    while (!isDone) await clock.advance(100);
    await running;
    const seen = await Promise.all(
      network.participants.map((participant) =>
        transactionsSeen(participant, [network.party('treasury')], { after: 0n }),
      ),
    );
    return seen.flat().map((transaction) => Buffer.from(Transaction.encode(transaction).finish()).toString('hex'));
  };

  const first = await run(7);

  expect(first.length).toBeGreaterThan(50);
  expect(await run(7)).toEqual(first);
  expect(await run(8)).not.toEqual(first);
});

test('amounts are exact to the tenth decimal', () => {
  const { network } = startNetwork();
  network.tap({ instrument: 'amulet', owner: 'alice', amount: '1000000000000000000.0000000001' });

  network.transfer({ ...direct, amount: '0.0000000001' });

  expect(network.balance({ instrument: 'amulet', owner: 'treasury' })).toBe('0.0000000001');
  expect(network.balance({ instrument: 'amulet', owner: 'alice' })).toBe('1000000000000000000.0000000000');
  expect(unitsOfDecimal('-0.5')).toBe(-5_000_000_000n);
  expect(() => unitsOfDecimal('0.00000000001')).toThrow();
});

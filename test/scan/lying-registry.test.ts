/**
 * A registry that lies, and nobody to outvote it: what it says is taken into a transfer as the withdrawal automation takes it, prepared by a simulated participant and put before the real signer. What is signed is
 * executed, and then every balance of the network must be as the transfer meant it. The signer refuses the rest, unless the ledger did before.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { PermanentError, RetryableError } from '../../src/env/errors.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { createSubmitter, type Submitter } from '../../src/ledger/submission-client.ts';
import { createRegistries } from '../../src/scan/registries.ts';
import { holdingsOf } from '../../src/simnet/network-commands.ts';
import { LIES } from '../../src/simnet/registry/lies.ts';
import type { RegistryFault } from '../../src/simnet/registry/registry-faults.ts';
import { type Simnet, startSimnet } from '../../src/simnet/simnet.ts';
import type { OpenAttempt } from '../../src/submissions/attempts.ts';
import { amountOf, parseAmount } from '../../src/tokens/amount.ts';
import { planTransfers } from '../../src/withdrawals/transfer-plan.ts';
import { silentLogger } from '../simnet/harness.ts';
import { eventually } from '../support/eventually.ts';
import { rounds } from '../support/tier.ts';

const RUNS = Number(process.env['REGISTRY_LIES'] ?? rounds(100, 2_000));
const AMOUNT = '0.01';
const FUNDS = '1000';
const SEED = new Uint8Array(32).fill(9);
const TOKENS = ['amulet', 'usd', 'note'];
/** As a token is paid whose policy nobody changed. */
const DIRECT_ONLY = { paysDirect: true, paysOffers: false, offerValiditySeconds: 600 };

let simnet: Simnet;
let submitter: Submitter;
const signer = createLocalSigner({ privateKey: ed25519PrivateKey(SEED) });

beforeAll(async () => {
  simnet = await startSimnet({
    seed: 'lying registry',
    clock: systemClock,
    random: createSeededRandom(6),
    logger: silentLogger,
  });
  submitter = createSubmitter({ url: `http://${simnet.participants[0]!.grpcAddress}` });
  const { publicKey } = await signer.currentKey();
  simnet.network.registerKey('treasury', publicKey.export({ type: 'spki', format: 'der' }));
  for (const instrument of TOKENS) {
    simnet.network.tap({ instrument, owner: 'treasury', amount: FUNDS });
    simnet.network.tap({ instrument, owner: 'alice', amount: '5' });
    simnet.network.preapprove({ instrument, receiver: 'bob' });
  }
});
afterAll(async () => {
  submitter.close();
  await simnet.stop();
});

function attemptTo(instrument: string): OpenAttempt {
  const { network } = simnet;
  const treasury = network.party('treasury');
  const inputs = holdingsOf(network.ledger.contracts, treasury, network.instrument(instrument)).map(
    ({ contractId, amountUnits }) => ({ contractId, amount: amountOf(amountUnits) }),
  );
  const now = systemClock.nowMicros();
  const target = now + 600_000_000n;
  return {
    submissionId: systemRandom.uuid(),
    number: 1,
    subjectId: 'wd_1',
    treasuryParty: treasury,
    instrument: network.instrument(instrument),
    synchronizerId: network.synchronizerId,
    target,
    transfer: {
      sender: treasury,
      receiver: network.party('bob'),
      amount: AMOUNT,
      instrumentId: network.instrument(instrument),
      requestedAt: String(now - 60_000_000n),
      executeBefore: String(target + 60_000_000n),
      inputHoldingCids: inputs.map(({ contractId }) => contractId),
      meta: { values: { 'splice.lfdecentralizedtrust.org/reason': 'memo' } },
    },
    inputs,
    isSignatureRequested: false,
    tries: 0,
  };
}

/** Of everybody, in every instrument. */
function balances(): Record<string, string> {
  const { network } = simnet;
  return Object.fromEntries(
    TOKENS.flatMap((instrument) =>
      [...network.parties().keys()].map((owner) => [`${owner} ${instrument}`, network.balance({ instrument, owner })]),
    ),
  );
}

type Outcome = 'PAID' | 'CANNOT' | 'REFUSED';

/** One try, as the automation makes it, with what the registry is told to say. */
async function tryWith(instrument: string, fault: RegistryFault): Promise<Outcome> {
  const { admin } = simnet.network.instrument(instrument);
  const registry = simnet.registries.find((each) => each.admin === admin)!;
  const registries = createRegistries({
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    sourceOf: () => ({ strategy: 'rotate', urls: [registry.url] }),
    scan: null,
    validator: null,
    isPrivateAllowed: true,
    callsPerSecondMax: 1_000,
  });
  const attempt = attemptTo(instrument);
  const before = balances();
  registry.faults.set({ next: 1, fault });
  try {
    const plan = await planTransfers({
      registry: registries,
      implementationOf: ({ id }) => (id === 'Amulet' ? 'SPLICE_AMULET' : 'OTHER'),
      policyOf: async () => DIRECT_ONLY,
    })(attempt);
    if (plan.kind === 'CANNOT') return 'CANNOT';
    const { intent } = plan;
    const prepared = await submitter.prepare({
      userId: 'sluice',
      commandId: intent.commandId,
      actAs: attempt.treasuryParty,
      synchronizerId: attempt.synchronizerId,
      contractId: plan.contractId,
      interfaceId: plan.interfaceId,
      choice: plan.choice,
      argument: plan.argument,
      disclosedContracts: plan.disclosedContracts,
      maxRecordTime: attempt.target,
    });
    const signature = await signer.sign({
      requestId: systemRandom.uuid(),
      submissionId: attempt.submissionId,
      attempt: 1,
      earlierAttempts: [],
      inputsSpentElsewhere: [],
      intent,
      prepared,
      recordTime: systemClock.nowMicros(),
    });
    await submitter.execute({
      userId: 'sluice',
      submissionId: systemRandom.uuid(),
      party: attempt.treasuryParty,
      preparedTransaction: prepared.preparedTransaction,
      scheme: prepared.scheme,
      signature,
    });
  } catch (error) {
    // An error without a code of ours would be a defect, not a refusal.
    expect(error instanceof RetryableError || error instanceof PermanentError).toBe(true);
    expect(balances()).toEqual(before);
    return 'REFUSED';
  } finally {
    registry.faults.clear();
  }
  const moved = (key: string, amount: string) => [key, plus(before[key]!, amount)] as const;
  await eventually(() =>
    expect(balances()).toEqual({
      ...before,
      ...Object.fromEntries([moved(`treasury ${instrument}`, `-${AMOUNT}`), moved(`bob ${instrument}`, AMOUNT)]),
    }),
  );
  return 'PAID';
}

function plus(balance: string, amount: string): string {
  const units = (text: string): bigint =>
    text.startsWith('-') ? -parseAmount(text.slice(1)) : text === '0' ? 0n : BigInt(text.replace('.', ''));
  const sum = units(balance) + units(amount === AMOUNT ? '0.0100000000' : '-0.01');
  const digits = sum.toString().padStart(11, '0');
  return `${digits.slice(0, -10)}.${digits.slice(-10)}`;
}

describe.each(TOKENS)('F2, Z15: a registry of %s that lies', (instrument) => {
  it('pays when it tells the truth, so that a refusal means something', async () => {
    expect(await tryWith(instrument, { kind: 'slow', delayMs: 0 })).toBe('PAID');
    expect(await tryWith(instrument, { kind: 'lie', lie: 'order' })).toBe('PAID');
  });

  it.each(LIES)('about the %s moves nothing but what was meant', async (lie) => {
    const outcome = await tryWith(instrument, { kind: 'lie', lie });

    if (lie === 'factory' || lie === 'synchronizer') expect(outcome).toBe('REFUSED');
    if (lie === 'transferKind') expect(outcome).toBe('CANNOT');
  });

  it('and says that an offer would be direct, gets no signature', async () => {
    const { network } = simnet;
    const attempt = attemptTo(instrument);
    const carol = { ...attempt, transfer: { ...attempt.transfer, receiver: network.party('carol') } };
    const { admin } = network.instrument(instrument);
    const registry = simnet.registries.find((each) => each.admin === admin)!;
    registry.faults.set({ next: 1, fault: { kind: 'mutate', fields: { transferKind: 'direct' } } });
    const registries = createRegistries({
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      sourceOf: () => ({ strategy: 'rotate', urls: [registry.url] }),
      scan: null,
      validator: null,
      isPrivateAllowed: true,
      callsPerSecondMax: 1_000,
    });
    const plan = await planTransfers({
      registry: registries,
      implementationOf: ({ id }) => (id === 'Amulet' ? 'SPLICE_AMULET' : 'OTHER'),
      policyOf: async () => DIRECT_ONLY,
    })(carol);
    if (plan.kind !== 'EXERCISE') throw new Error('The lie was not told.');
    const prepared = await submitter.prepare({
      ...plan,
      userId: 'sluice',
      commandId: plan.intent.commandId,
      actAs: attempt.treasuryParty,
      synchronizerId: attempt.synchronizerId,
      maxRecordTime: attempt.target,
    });

    await expect(
      signer.sign({
        requestId: systemRandom.uuid(),
        submissionId: attempt.submissionId,
        attempt: 1,
        earlierAttempts: [],
        inputsSpentElsewhere: [],
        intent: plan.intent,
        prepared,
        recordTime: systemClock.nowMicros(),
      }),
    ).rejects.toMatchObject({ name: 'CustodyRefusal' });
  });

  it('anywhere and about anything moves nothing but what was meant', { timeout: 600_000 }, async () => {
    const true_ = await trueAnswer(instrument);
    const paths = pathsOf(true_);
    const others = [...simnet.network.ledger.contracts.active()].map(({ contractId }) => contractId);
    const parties = [...simnet.network.parties().values()];
    const values = fc.oneof(
      fc.constantFrom(...others),
      fc.constantFrom(...parties),
      fc.constantFrom('self', 'direct', 'offer', 'AV_Text', 'AV_ContractId', '', '00', null, true, [], {}),
      fc.string(),
      fc.json().map((text) => JSON.parse(text)),
    );
    const outcomes = new Set<Outcome>();

    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom(...paths), fc.oneof(values, fc.constant(REMOVED))), {
          minLength: 1,
          maxLength: 3,
        }),
        async (changes) => {
          let lie = true_;
          for (const [path, value] of changes) lie = changed(lie, path, value);
          outcomes.add(await tryWith(instrument, { kind: 'mutate', fields: lie as Record<string, unknown> }));
        },
      ),
      { numRuns: RUNS, seed: 11 },
    );

    expect(outcomes).toContain('REFUSED');
  });
});

async function trueAnswer(instrument: string): Promise<unknown> {
  const { transfer } = attemptTo(instrument);
  const { admin } = simnet.network.instrument(instrument);
  const { url } = simnet.registries.find((each) => each.admin === admin)!;
  const at = (micros: string) => new Date(Number(BigInt(micros) / 1_000n)).toISOString();
  const response = await fetch(`${url}/registry/transfer-instruction/v1/transfer-factory`, {
    method: 'POST',
    body: JSON.stringify({
      choiceArguments: {
        expectedAdmin: admin,
        transfer: {
          ...transfer,
          requestedAt: at(transfer.requestedAt),
          executeBefore: at(transfer.executeBefore),
        },
        extraArgs: { context: { values: {} }, meta: { values: {} } },
      },
      excludeDebugFields: true,
    }),
  });
  return await response.json();
}

const REMOVED = Symbol('removed');
type Path = readonly (string | number)[];

function pathsOf(value: unknown, path: Path = []): readonly Path[] {
  if (typeof value !== 'object' || value === null) return [path];
  const inner = Object.entries(value).flatMap(([key, each]) =>
    pathsOf(each, [...path, Array.isArray(value) ? Number(key) : key]),
  );
  return path.length === 0 ? inner : [path, ...inner];
}

function changed(value: unknown, [key, ...rest]: Path, to: unknown): unknown {
  if (key === undefined || typeof value !== 'object' || value === null) return value;
  const inner = rest.length === 0 ? to : changed((value as Record<string, unknown>)[key], rest, to);
  if (Array.isArray(value)) {
    return inner === REMOVED
      ? value.filter((_, index) => index !== key)
      : value.map((each, index) => (index === key ? inner : each));
  }
  const { [key]: _, ...others } = value as Record<string, unknown>;
  return inner === REMOVED ? others : { ...others, [key]: inner };
}

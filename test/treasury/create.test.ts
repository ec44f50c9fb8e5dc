/** A treasury party from its key to its first direct deposit: made on two participants, preapproved by its provider, resumed after every step. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createSecret } from '../../src/config/secret.ts';
import { ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { createOnboardingSigner, type OnboardingSigner } from '../../src/custody/onboarding-signer.ts';
import { checkProposal, type ProposalIntent } from '../../src/custody/proposal-check.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { type Channel, openChannel } from '../../src/ledger/channel.ts';
import { createLedgerClient } from '../../src/ledger/ledger-client.ts';
import { createFixedToken } from '../../src/ledger/token-source.ts';
import { createParty } from '../../src/treasury/create-party.ts';
import { proposePreapproval } from '../../src/treasury/propose-preapproval.ts';
import { startTestNetwork, type TestNetwork } from '../support/network.ts';

let simnet: TestNetwork;
let channels: readonly Channel[];
let signer: OnboardingSigner;

beforeEach(async () => {
  simnet = await startTestNetwork('treasury-create');
  channels = [0, 1].map((index) => openChannel({ url: simnet.ledgerUrl(index) }));
  signer = createOnboardingSigner(ed25519PrivateKey(new Uint8Array(32).fill(9)));
});

afterEach(async () => {
  for (const channel of channels) channel.close();
  await simnet.stop();
});

const hosts = () => channels.map(({ call }, index) => ({ url: simnet.ledgerUrl(index), call }));
const create = async (
  options: { threshold?: number; hosts?: ReturnType<typeof hosts>; signer?: OnboardingSigner } = {},
) =>
  await createParty({
    hosts: options.hosts ?? hosts(),
    hint: 'vault',
    threshold: options.threshold ?? 2,
    synchronizerId: simnet.network.synchronizerId,
    signer: options.signer ?? signer,
  });

async function propose(party: string, how: Partial<Parameters<typeof proposePreapproval>[0]> = {}) {
  const [channel] = channels;
  if (channel === undefined) throw new Error('No channel.');
  return await proposePreapproval({
    ledger: createLedgerClient(channel),
    call: channel.call,
    signer,
    party,
    provider: simnet.network.party('validator'),
    dso: simnet.network.party('DSO'),
    userId: 'sluice',
    synchronizerId: simnet.network.synchronizerId,
    clock: systemClock,
    random: systemRandom,
    signal: new AbortController().signal,
    ...how,
  });
}

test('a party on two participants is made once, proposed once, accepted by its provider, and paid at once', async () => {
  const made = await create();
  const again = await create();

  expect(made).toEqual({
    party: `vault::${signer.key.fingerprint}`,
    participants: simnet.participants.map(({ participantId }) => participantId),
    isNew: true,
  });
  expect(again).toEqual({ ...made, isNew: false });
  expect(simnet.network.participants.map(({ isHosted }) => isHosted(made.party))).toEqual([true, true]);

  expect(await propose(made.party)).toMatchObject({ kind: 'PROPOSED', provider: simnet.network.party('validator') });
  expect(await propose(made.party)).toMatchObject({ kind: 'PROPOSED_BEFORE' });
  expect(simnet.network.acceptPreapprovals({})).toBe(1);
  expect(await propose(made.party)).toMatchObject({ kind: 'VALID' });

  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '5' });
  const paid = simnet.network.transfer({ instrument: 'amulet', sender: 'alice', receiver: made.party, amount: '1' });
  expect(paid.kind).toBe('completed');
});

test('what failed half-way is made whole by the same command', async () => {
  const [first, second] = hosts();
  if (first === undefined || second === undefined) throw new Error('No hosts.');
  let isAway = true;
  const ill: Channel['call'] = async (method, request) => {
    if (isAway && method.path.endsWith('AllocateExternalParty')) throw new Error('The connection was cut.');
    return await second.call(method, request);
  };
  const both = [first, { ...second, call: ill }];

  await expect(create({ hosts: both })).rejects.toThrow('cut');
  expect(simnet.network.participants.map(({ isHosted }) => isHosted(`vault::${signer.key.fingerprint}`))).toEqual([
    false,
    false,
  ]);
  isAway = false;

  expect(await create({ hosts: both })).toMatchObject({ isNew: true });
});

test('two tries at the same time make one proposal', async () => {
  const { party } = await create();

  const outcomes = await Promise.allSettled([propose(party), propose(party)]);

  const seen = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  expect(seen.length).toBeGreaterThanOrEqual(1);
  for (const outcome of seen) expect(outcome.kind).toMatch(/^PROPOSED/);
  expect(simnet.network.acceptPreapprovals({})).toBe(1);
});

test('Z14: a participant that wants something else signed gets no signature', async () => {
  const [first] = hosts();
  if (first === undefined) throw new Error('No host.');
  const lying = (change: (response: object) => object): Channel['call'] => {
    return async (method, request) => {
      const response = await first.call(method, request);
      const isAnswer = typeof response === 'object' && response !== null;
      return isAnswer && method.path.endsWith('GenerateExternalPartyTopology')
        ? Object.assign(response, change(response))
        : response;
    };
  };
  const [alone] = [first];
  const with_ = async (change: (response: object) => object) =>
    await create({ hosts: [{ ...alone, call: lying(change) }], threshold: 1 });

  await expect(with_(() => ({ multiHash: Buffer.alloc(34, 1) }))).rejects.toMatchObject({
    code: 'HASH_DIFFERS_FROM_NODE',
  });
  await expect(with_(() => ({ topologyTransactions: [Buffer.from('evil')] }))).rejects.toMatchObject({
    code: 'HASH_DIFFERS_FROM_NODE',
  });
  await expect(with_(() => ({ partyId: 'vault::1220ff' }))).rejects.toMatchObject({ code: 'PARTY_NOT_OURS' });
});

test('Z14: a proposal is signed as it was meant, and no other', async () => {
  const { party } = await create();
  const wrong = (change: Partial<ProposalIntent>): OnboardingSigner => ({
    ...signer,
    signProposal: (intent, prepared, window) => {
      checkProposal(intent, prepared, window);
      return signer.signProposal({ ...intent, ...change }, prepared, window);
    },
  });
  const codeOf = async (change: Partial<ProposalIntent>): Promise<unknown> => {
    try {
      await propose(party, { signer: wrong(change) });
      return null;
    } catch (error) {
      return error instanceof Error && 'code' in error ? error.code : error;
    }
  };

  expect(await codeOf({ provider: simnet.network.party('alice') })).toBe('INTENT_AUTHORITY');
  expect(await codeOf({ dso: simnet.network.party('alice') })).toBe('INTENT_ARGUMENT');
  expect(await codeOf({ commandId: 'another' })).toBe('INTENT_METADATA');
  expect(await codeOf({ maxRecordTime: 1n })).toBe('INTENT_TIME');
  expect(await codeOf({ synchronizerId: 'other::1220ab' })).toBe('INTENT_SYNCHRONIZER');
  expect(await codeOf({ receiver: simnet.network.party('bob') })).toBe('INTENT_METADATA');
  expect(await codeOf({})).toBeNull();
});

test('nobody but an administrator makes parties, and the way out is said', async () => {
  simnet.network.access.setUser({ id: 'sluice', readAs: ['treasury'] });
  simnet.network.access.demandTokens(true);
  const { token } = simnet.network.access.issueToken({ user: 'sluice' });
  const channel = openChannel({ url: simnet.ledgerUrl(), tokens: createFixedToken(createSecret(token)) });
  try {
    await expect(
      create({ hosts: [{ url: simnet.ledgerUrl(), call: channel.call }], threshold: 1 }),
    ).rejects.toMatchObject({ code: 'ADMINISTRATOR_NEEDED' });
  } finally {
    channel.close();
  }
});

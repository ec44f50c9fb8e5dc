/**
 * The simulated network as a process of its own: it pays in, answers offers, misbehaves when told to, and says at the end what was true. Nothing of Sluice's code decides what it says. Requests come as messages, each
 * with a number, and are answered by one message with the same number; `network.ts` is the other end.
 */
import { createPublicKey } from 'node:crypto';
import { createSeededRandom } from '../../src/env/random.ts';
import { createSystemLogger, systemClock } from '../../src/env/system.ts';
import { updateFormatFor } from '../../src/ingestion/update-format.ts';
import { decimalOfUnits } from '../../src/simnet/daml/decimal.ts';
import type { Disturbance } from '../../src/simnet/ledger/disturbances.ts';
import { TREASURY } from '../../src/simnet/network.ts';
import { holdingsOf, instructionOf } from '../../src/simnet/network-commands.ts';
import { startSimnet } from '../../src/simnet/simnet.ts';
import type { SubmissionFaultSettings } from '../../src/simnet/submission/submission-faults.ts';
import { type Deposited, MEMOS, type NetworkReady, PAYEES, type Payee, type Truth } from './network-messages.ts';

const { seed, publicKeyDer }: { readonly seed: number; readonly publicKeyDer: string } = JSON.parse(
  process.argv[2] ?? '{}',
);
const INSTRUMENT = 'amulet';
const PARTICIPANT = 'participant1';
/** Of the Ledger API: Sluice, as it is called by default. */
const USER = 'sluice';
const LOOK_MS = 600_000;
const random = createSeededRandom(seed);
const { network, participants, registries, receivers, validator } = await startSimnet({
  seed: `chaos-${seed}`,
  clock: systemClock,
  random: createSeededRandom(seed + 1),
  logger: createSystemLogger('error'),
  checkpoints: { busyMs: 100, idleMs: 250 },
  parties: PAYEES.filter((hint) => hint !== 'bob').map((hint) => ({ hint, on: ['participant2'] })),
});
const participant = () => network.participant(PARTICIPANT);
const party = network.party(TREASURY);
const instrument = network.instrument(INSTRUMENT);

network.registerKey(TREASURY, derOf(publicKeyDer));
network.preapprove({ instrument: INSTRUMENT, receiver: 'bob' });
receivers.set({ party: 'carol', does: 'accept' });
receivers.set({ party: 'dave', does: 'reject' });
receivers.set({ party: 'erin', does: 'leave' });
network.tap({ instrument: INSTRUMENT, owner: 'alice', amount: '100000000' });

const deposited: Deposited[] = [];
let seenUpTo = 0n;
let turns: Promise<void> = Promise.resolve();
let newestUpdateId: string | null = null;
const updateIds = new Set<string>();

function derOf(key: string): Uint8Array {
  return createPublicKey({ key: Buffer.from(key, 'base64'), format: 'der', type: 'spki' }).export({
    format: 'der',
    type: 'spki',
  });
}

/** One payment in, by a transfer or by an offer that is ours to accept, of an amount that no other has. */
function payIn({ offers }: { readonly offers: number }): void {
  const amount = decimalOfUnits(10_000_000_000n * BigInt(1 + Math.floor(random.next() * 9)) + BigInt(deposited.length));
  const isOffer = random.next() < offers;
  // An offer whose memo nobody has waits for people.
  const memo = MEMOS[Math.floor(random.next() * (isOffer ? MEMOS.length - 1 : MEMOS.length))] ?? '';
  const { updateId } = network.transfer({
    instrument: INSTRUMENT,
    sender: 'alice',
    receiver: TREASURY,
    amount,
    memo,
    ...(isOffer && { kind: 'offer' as const }),
  });
  deposited.push({ memo, amount, isOffer, updateId });
}

/** One after the other: what is read while the participant numbers anew would say of its old numbers how far the new ones were read. */
function inTurn(work: () => Promise<void> | void): Promise<void> {
  const done = turns.then(work);
  turns = done.catch(() => undefined); // Told to whoever asked for it.
  return done;
}

/** Reads on in what the participant shows of the treasury. */
async function readUpdates(): Promise<void> {
  await inTurn(readOn);
}

async function readOn(): Promise<void> {
  const end = participant().ledgerEnd();
  if (end <= seenUpTo) return;
  const { token } = network.access.issueToken({ user: USER, lifetimeMs: LOOK_MS });
  const messages = participant().api.getUpdates(
    {
      beginExclusive: seenUpTo,
      endInclusive: end,
      updateFormat: updateFormatFor(party),
      descendingOrder: false,
    },
    { token },
  );
  for await (const { update } of messages) {
    if (update?.$case !== 'transaction') continue;
    updateIds.add(update.value.updateId);
    newestUpdateId = update.value.updateId;
  }
  seenUpTo = end;
}

async function truth(): Promise<Truth> {
  await readUpdates();
  const held = holdingsOf(network.ledger.contracts, party, instrument);
  const paid = (payee: Payee): readonly string[] =>
    holdingsOf(network.ledger.contracts, network.party(payee), instrument).map(({ amountUnits }) =>
      decimalOfUnits(amountUnits),
    );
  return {
    holdings: held.map(({ contractId, amountUnits }) => [contractId, decimalOfUnits(amountUnits)]),
    balance: network.balance({ instrument: INSTRUMENT, owner: TREASURY }),
    paid: { bob: paid('bob'), carol: paid('carol'), dave: paid('dave'), erin: paid('erin') },
    deposited,
    offersOpen: [...network.ledger.contracts.activeOf(party)].filter(
      (contract) => instructionOf(contract)?.receiver === party,
    ).length,
    updates: updateIds.size,
    newestUpdateId,
  };
}

type Answer = unknown | Promise<unknown>;

const OPERATIONS = {
  deposit: ({ count, offers }: { count: number; offers: number }): Answer => {
    for (let made = 0; made < count; made += 1) payIn({ offers });
    return deposited.length;
  },
  fund: ({ count, amount }: { count: number; amount: string }): Answer => {
    for (let made = 0; made < count; made += 1) network.tap({ instrument: INSTRUMENT, owner: TREASURY, amount });
    return null;
  },
  newest: async (): Promise<unknown> => {
    await readUpdates();
    return { updates: updateIds.size, newestUpdateId };
  },
  truth,
  submissionFaults: (settings: SubmissionFaultSettings): Answer => {
    participant().faults.submissions.set(settings);
    return null;
  },
  disturb: ({ disturbance, count }: { disturbance: Disturbance; count: number }): Answer => {
    participant().faults.disturbNext(disturbance, count);
    return null;
  },
  stall: (): Answer => participant().faults.stall(),
  /** Streams say nothing more, calls are answered; until somebody has given up a stream. @returns milliseconds. */
  silence: async (): Promise<unknown> => {
    const { faults } = participant();
    while (faults.openStreams() === 0) await systemClock.sleep(5); // Nobody follows the ledger yet.
    const stillOpen = faults.followStreams();
    const startedAt = performance.now();
    faults.silenceStreams();
    // Those that are opened meanwhile, by a comparison with the ledger say, wait as long as the ones before.
    while (stillOpen() > 0) await systemClock.sleep(5);
    faults.resume();
    return performance.now() - startedAt;
  },
  endStreams: (): Answer => participant().faults.endStreams(),
  calm: (): Answer => {
    const { faults } = participant();
    faults.resume();
    faults.submissions.clear();
    faults.clearDisturbances();
    faults.acceptCalls();
    return null;
  },
  /** The participant's own database was put back: it numbers what it reads again anew. */
  restore: async ({ updatesBack }: { updatesBack: number }): Promise<unknown> => {
    await inTurn(() => {
      participant().restore({ updatesBack, catchUp: { everyMs: 1 }, numbering: 'fresh' });
      seenUpTo = 0n;
    });
    return null;
  },
  /** From now on everybody needs a token. Anew where it was so already: streams of the user end. */
  giveRights: (): Answer => {
    network.access.setUser({ id: USER, actAs: [TREASURY], readAs: [TREASURY], executeAs: [TREASURY] });
    network.access.demandTokens(true);
    return null;
  },
  issueToken: ({ lifetimeMs }: { lifetimeMs: number }): Answer =>
    network.access.issueToken({ user: USER, lifetimeMs }).token,
  registerKey: ({ key }: { key: string }): Answer => network.registerKey(TREASURY, derOf(key)),
  /** Archives a holding of the treasury and hides that from its stream: ledger and books differ from now on. */
  burnHidden: (): Answer => {
    participant().faults.disturbNext({ kind: 'drop' }, 1);
    network.burn({ instrument: INSTRUMENT, owner: TREASURY, amount: '1' });
    return null;
  },
} as const;

process.on('message', (text: string) => {
  const { id, operation, options } = JSON.parse(text) as {
    id: number;
    operation: keyof typeof OPERATIONS;
    options: never;
  };
  void (async () => {
    try {
      process.send?.({ id, answer: (await OPERATIONS[operation](options)) ?? null });
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? `${error.stack}` : String(error) });
    }
  })();
});
// Whoever started us is gone.
process.on('disconnect', () => process.exit(0));

const ready: NetworkReady = {
  ledgerPort: Number(new URL(`http://${participants[0]?.grpcAddress}`).port),
  registries: registries.map(({ admin, url }) => ({ admin, url })),
  validatorUrl: validator.url,
  treasury: party,
  instrument,
  instruments: network.tokens.map(({ name, instrumentId }) => ({ name, ...instrumentId })),
  payees: {
    bob: network.party('bob'),
    carol: network.party('carol'),
    dave: network.party('dave'),
    erin: network.party('erin'),
  },
};
process.send?.(ready);

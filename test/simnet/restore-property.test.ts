/**
 * Whatever is done to a participant (held, stepped, restored, pruned, with offsets skipped), in the end it has what a participant has that
 * nothing was done to: the same updates in the same order, the same active contracts, at offsets that only rise.
 */
import { expect, test } from 'vitest';
import { createSeededRandom, type Random } from '../../src/env/random.ts';
import { GetActiveContractsRequest } from '../../src/gen/com/daml/ledger/api/v2/state_service.ts';
import type { Participant } from '../../src/simnet/ledger/participant.ts';
import type { Network } from '../../src/simnet/network.ts';
import { formatFor, startNetwork, transactionsSeen } from './harness.ts';

const TREASURY = 'treasury';
const SEEDS = 25;
const STEPS = 60;

function drawWork(network: Network, random: Random): void {
  const dice = random.next();
  if (dice < 0.15) network.merge({ instrument: 'amulet', owner: TREASURY });
  else if (dice < 0.3) network.transfer({ instrument: 'amulet', sender: 'alice', receiver: 'bob', amount: '1' });
  else network.transfer({ instrument: 'amulet', sender: 'alice', receiver: TREASURY, amount: '1' });
}

function drawTrouble(node: Participant, random: Random): void {
  const dice = random.next();
  if (dice < 0.2) node.intake.hold();
  else if (dice < 0.5) node.intake.step(1 + Math.floor(random.next() * 3));
  else if (dice < 0.6) node.intake.release();
  else if (dice < 0.75) node.skipOffsets(BigInt(1 + Math.floor(random.next() * 20)));
  else {
    const span = node.ledgerEnd() - node.prunedUpTo();
    const to = node.prunedUpTo() + (span * BigInt(Math.floor(random.next() * 100))) / 100n;
    node.restore({
      to,
      catchUp: random.next() < 0.5 ? 'held' : 'atOnce',
      numbering: random.next() < 0.7 ? 'fresh' : 'same',
      offsetSteps: { min: 1, max: 1 + Math.floor(random.next() * 5) },
    });
  }
}

async function activeIds(network: Network, node: Participant): Promise<string[]> {
  const request = GetActiveContractsRequest.fromPartial({
    activeAtOffset: node.ledgerEnd(),
    eventFormat: formatFor([network.party(TREASURY)]).includeTransactions?.eventFormat,
  });
  const ids: string[] = [];
  for await (const { contractEntry } of node.api.getActiveContracts(request)) {
    if (contractEntry?.$case === 'activeContract') ids.push(contractEntry.value.createdEvent?.contractId ?? '');
  }
  return ids.sort();
}

test.each(Array.from({ length: SEEDS }, (_, seed) => seed))('seed %i', async (seed) => {
  const random = createSeededRandom(seed);
  const { network } = startNetwork({ seed: `restore-${seed}` });
  const troubled = network.participant('participant1');
  const calm = network.participant('participant2');
  const treasury = [network.party(TREASURY)];
  for (let count = 0; count < 30; count += 1) network.tap({ instrument: 'amulet', owner: 'alice', amount: '3' });
  network.tap({ instrument: 'amulet', owner: TREASURY, amount: '1' });

  for (let step = 0; step < STEPS; step += 1) {
    if (random.next() < 0.6) drawWork(network, random);
    else drawTrouble(troubled, random);
  }
  troubled.intake.release();

  const [seen, expected] = [await transactionsSeen(troubled, treasury), await transactionsSeen(calm, treasury)];
  const summary = (transaction: (typeof seen)[number]) => ({
    updateId: transaction.updateId,
    recordTime: transaction.recordTime,
    events: transaction.events.length,
  });
  expect(seen.map(summary)).toEqual(expected.map(summary));
  const offsets = seen.map(({ offset }) => offset);
  expect(offsets.every((offset, index) => index === 0 || offset > (offsets[index - 1] ?? 0n))).toBe(true);
  expect(await activeIds(network, troubled)).toEqual(await activeIds(network, calm));
  for (const { updateId, offset } of seen) expect(troubled.offsetOf(updateId)).toBe(offset);
});

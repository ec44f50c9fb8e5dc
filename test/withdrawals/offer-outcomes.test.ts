/**
 * Many offers, each ended in a way that is drawn for it, while the participant loses and drops what it is sent. Whatever became of each, the network itself says; every withdrawal must say the same, and the
 * books must add up to what the treasury, the receiver and the fees have. OFFER_SEEDS sets how many seeds.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { instructionOf } from '../../src/simnet/network-commands.ts';
import { formatAmount, parseAmount } from '../../src/tokens/amount.ts';
import { eventually } from '../support/eventually.ts';
import { type Instrument, type OfferScene, startOfferScene } from '../support/offers.ts';
import { rounds } from '../support/tier.ts';

const SEEDS = Array.from({ length: Number(process.env['OFFER_SEEDS'] ?? rounds(1, 20)) }, (_, index) => index + 1);
const PER_INSTRUMENT = 6;
const INSTRUMENTS: readonly Instrument[] = ['amulet', 'usd', 'note'];
const OUTCOMES = ['accept', 'reject', 'cancel', 'cancel and accept', 'expire', 'leave', 'evolve'] as const;
type Outcome = (typeof OUTCOMES)[number];

let scene: OfferScene;
beforeEach(async () => {
  scene = await startOfferScene('offer outcomes');
});
afterEach(async () => {
  await scene.stop();
});

test.each(SEEDS)(
  'E12, E13, E15, E21: outcomes as drawn from seed %i are what the withdrawals and the books say',
  { timeout: 120_000 },
  async (seed) => {
    const random = createSeededRandom(seed);
    const draw = <T>(from: readonly T[]): T => from[Math.floor(random.next() * from.length)]!;
    const fees = new Map<Instrument, bigint>();
    for (const instrument of INSTRUMENTS) {
      const fee = parseAmount(draw(['0', '0.01', '1', '1.5', '100']));
      fees.set(instrument, fee);
      await scene.decide(instrument, { validitySeconds: 60, returnFee: formatAmount(fee) });
      scene.fund(instrument, PER_INSTRUMENT, '2');
    }
    const wanted = new Map<string, { readonly instrument: Instrument; readonly outcome: Outcome }>();
    for (const instrument of INSTRUMENTS) {
      for (let index = 0; index < PER_INSTRUMENT; index += 1) {
        const id = await scene.ask(`${instrument}-${index}`, instrument, '1.5');
        wanted.set(id, { instrument, outcome: draw(OUTCOMES) });
      }
    }
    const count = wanted.size;
    scene.network.participant('participant1').faults.submissions.set({
      loseExecuteAnswers: { share: 0.3 },
      dropExecutes: { share: 0.2 },
      duplicateExecutes: { share: 0.2 },
    });
    scene.start({
      limits: {
        ttlMs: 8_000,
        recordTimeAgeMsMax: 600_000,
        recordTimeAheadMsMax: 600_000,
        attemptsMax: 20,
        triesMax: 20,
        tryHoldMs: 500,
      },
    });
    await scene.become({ OFFERED: count }, 60_000);

    const offers = new Map(
      [...scene.network.ledger.contracts.active()].flatMap((contract) => {
        const id = instructionOf(contract)?.meta.get('sluice.dev/withdrawal-id');
        return id === undefined ? [] : [[id, contract.contractId] as const];
      }),
    );
    const act = (work: () => unknown): void => {
      try {
        work();
      } catch {
        // Somebody was quicker: the network says who.
      }
    };
    for (const [id, { instrument, outcome }] of wanted) {
      const instructionCid = offers.get(id) ?? '';
      if (outcome === 'accept') act(() => scene.network.accept({ instructionCid }));
      if (outcome === 'reject') act(() => scene.network.reject({ instructionCid }));
      if (outcome === 'evolve' && instrument === 'note') act(() => scene.network.evolve({ instructionCid }));
      if (outcome.startsWith('cancel')) await scene.cancel(id);
      if (outcome === 'cancel and accept') act(() => scene.network.accept({ instructionCid }));
    }
    scene.pass(90_000);
    for (const [id, { outcome }] of wanted) {
      if (outcome === 'expire') act(() => scene.network.expire({ instructionCid: offers.get(id) ?? '' }));
    }

    const left = async (): Promise<number> =>
      (await scene.rows()).filter(({ state }) => state !== 'COMPLETED' && state !== 'RETURNED').length;
    await eventually(async () => expect(await left()).toBe(0), { deadlineMs: 60_000 });
    for (const { id, state } of await scene.rows()) {
      const outcome = wanted.get(id)?.outcome;
      if (outcome === 'accept') expect({ id, state }).toEqual({ id, state: 'COMPLETED' });
      else if (outcome !== 'cancel and accept')
        expect({ id, outcome, state }).toEqual({ id, outcome, state: 'RETURNED' });
    }
    for (const instrument of INSTRUMENTS) {
      const rows = (await scene.rows()).filter(({ id }) => wanted.get(id)?.instrument === instrument);
      const paid = BigInt(rows.filter(({ state }) => state === 'COMPLETED').length) * parseAmount('1.5');
      const returned = BigInt(rows.filter(({ state }) => state === 'RETURNED').length);
      const fee = fees.get(instrument) ?? 0n;
      const kept = returned * (fee > parseAmount('1.5') ? parseAmount('1.5') : fee);
      const all = BigInt(PER_INSTRUMENT) * parseAmount('2');
      const held = (owner: string): string => scene.network.balance({ instrument, owner });
      expect({ instrument, bob: held('bob'), treasury: held('treasury') }).toEqual({
        instrument,
        bob: formatAmount(paid),
        treasury: formatAmount(all - paid),
      });
      expect(await scene.balance('CUSTOMER', instrument)).toBe(formatAmount(-(paid + kept)));
      expect(await scene.balance('FEES', instrument)).toBe(formatAmount(kept));
      expect(await scene.balance('WITHDRAWALS', instrument)).toBe('0.0000000000');
    }
    expect(scene.offers()).toEqual([]);
    expect(await checkBooks(scene.db)).toEqual([]);
  },
);

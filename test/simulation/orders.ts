/** Clients who ask for withdrawals: through any process, again when they hear nothing, sometimes of two processes at once, sometimes to call it off. */
import type { Clock, Micros } from '../../src/env/clock.ts';
import { RetryableError } from '../../src/env/errors.ts';
import { type Network, TREASURY } from '../../src/simnet/network.ts';
import { holdingsOf } from '../../src/simnet/network-commands.ts';
import { amountOf } from '../../src/tokens/amount.ts';
import { createOriginSeal } from '../../src/withdrawals/transfer-metadata.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import type { Dice } from './dice.ts';
import type { Marks } from './marks.ts';
import type { Life } from './process.ts';
import { must } from './violation.ts';

/** Paid at once, to who is preapproved. */
export const DIRECT = 'amulet';
/** Offered. */
export const OFFERED = 'usd';
/** They get nothing but withdrawals, and spend nothing: their holdings say what was paid. */
const PAYEE = 'dave';
export const OFFEREE = 'erin';
export const CLIENT = 'exchange';
export const ID_KEY = new Uint8Array(32);
/** What travels with payments where withdrawals may be lost. */
export const SEAL = createOriginSeal({ idKey: ID_KEY });
const UNITS = 10_000_000_000n;
const PAUSE_MS_MAX = 500;
const REST_MS_MAX = 10_000; // Once everything was asked for.

export type Order = {
  readonly key: string;
  readonly instrument: typeof DIRECT | typeof OFFERED;
  readonly account: string;
  /** Told apart by the last digits, so that a payment names its order. */
  readonly units: bigint;
  readonly atMicros: Micros;
  readonly isCalledOff: boolean;
  /** Ids that clients were given for it; one, if all is well. */
  readonly ids: Set<string>;
};

export type Orders = {
  all(): readonly Order[];
  /** Party id of who is paid. */
  receiverOf(order: Order): string;
  /** Party ids of those who are paid. */
  readonly payees: readonly string[];
  /** Whether any of them is paid by an offer. */
  readonly haveOffers: boolean;
  /** Places what is due, through one life of a process, until it ends. */
  place(life: Life): Promise<void>;
  /** Units → how many payments of that size the network has committed. */
  payments(): ReadonlyMap<bigint, number>;
  /** Whether every order has been confirmed to some client. */
  arePlaced(): boolean;
  /** What was confirmed may be gone: everybody asks again, under the old keys. */
  askAgain(): void;
};

export function createOrders({
  network,
  networkName,
  dice,
  marks,
  clock,
  counts,
}: {
  readonly network: Network;
  readonly networkName: string;
  readonly dice: Dice;
  readonly marks: Marks;
  /** The clients' own, which is right. */
  readonly clock: Clock;
  /** How many orders there are, at least and at most. */
  readonly counts: readonly [least: number, most: number];
}): Orders {
  network.preapprove({ instrument: DIRECT, receiver: PAYEE });
  network.allocateParty({ hint: OFFEREE, on: ['participant1'] });
  const receivers = { [DIRECT]: network.party(PAYEE), [OFFERED]: network.party(OFFEREE) };
  const offeredShare = dice.pick([0, 0.3, 0.6]);
  const spreadMs = dice.logUniform(10, 1_000);
  const orders: readonly Order[] = Array.from({ length: dice.integer(...counts) }, (_, index) => ({
    key: `order-${index}`,
    instrument: dice.chance(offeredShare) ? OFFERED : DIRECT,
    account: `withdrawer-${index % 3}`,
    units: BigInt(dice.integer(1, 30)) * UNITS + BigInt(index + 1),
    atMicros: clock.nowMicros() + BigInt(Math.round(dice.next() * spreadMs * 1_000)),
    isCalledOff: dice.chance(0.15),
    ids: new Set<string>(),
  }));

  /** Since the database last went back. */
  const placed = new Set<Order>();
  let askings = 0;
  const ask = async (life: Life, order: Order): Promise<void> => {
    const asking = askings;
    const withdrawals = createWithdrawals({
      db: life.db,
      clock: life.clock,
      network: networkName,
      idKey: ID_KEY,
      ...(life.history !== null && { seal: SEAL, log: life.history.memory }),
    });
    const { id, isReplayed } = await withdrawals.create({
      client: CLIENT,
      idempotencyKey: order.key,
      account: order.account,
      treasuryParty: network.party(TREASURY),
      instrument: network.instrument(order.instrument),
      receiver: receivers[order.instrument],
      amount: amountOf(order.units),
      memo: null,
    });
    if (isReplayed) marks.add('withdrawal request replayed');
    order.ids.add(id);
    must(order.ids.size === 1, 'one key makes one withdrawal', { key: order.key, ids: [...order.ids] });
    if (asking === askings) placed.add(order);
    if (!order.isCalledOff) return;
    await life.clock.sleep(life.random.next() * PAUSE_MS_MAX);
    if (await withdrawals.cancel(CLIENT, id)) marks.add('withdrawal called off');
  };

  /** Whoever sees that his withdrawal waits for his word, since a restore was noticed after he had asked again, gives it. */
  const askForHeld = async (life: Life): Promise<void> => {
    const held = await life.db
      .selectFrom('restored_withdrawal')
      .innerJoin('withdrawal', 'withdrawal.id', 'restored_withdrawal.withdrawal_id')
      .select('idempotency_key as key')
      .where('wanted_at', 'is', null)
      .where('withdrawal.state', '=', 'QUEUED')
      .orderBy('idempotency_key')
      .executeTakeFirst();
    const order = orders.find(({ key }) => key === held?.key);
    if (order === undefined) return;
    marks.add('restored withdrawal released by its client');
    await ask(life, order);
  };

  return {
    all: () => orders,
    receiverOf: ({ instrument }) => receivers[instrument],
    payees: Object.values(receivers),
    haveOffers: orders.some(({ instrument }) => instrument === OFFERED),
    arePlaced: () => orders.every((order) => placed.has(order)),
    askAgain: () => {
      askings += 1;
      placed.clear();
    },
    payments: () => {
      const counts = new Map<bigint, number>();
      for (const instrument of [DIRECT, OFFERED] as const) {
        const paid = holdingsOf(network.ledger.contracts, receivers[instrument], network.instrument(instrument));
        for (const { amountUnits } of paid) counts.set(amountUnits, (counts.get(amountUnits) ?? 0) + 1);
      }
      return counts;
    },
    place: async (life) => {
      const confirmed = new Set<Order>();
      while (!life.signal.aborted) {
        try {
          const due = orders.find(
            (order) =>
              !(confirmed.has(order) && placed.has(order)) &&
              order.atMicros <= clock.nowMicros() &&
              (!placed.has(order) || life.random.next() < 0.03),
          );
          if (due === undefined) {
            const isOver = orders.every((order) => placed.has(order));
            if (isOver && life.history !== null) await askForHeld(life);
            await life.clock.sleep(life.random.next() * (isOver ? REST_MS_MAX : PAUSE_MS_MAX), life.signal);
            continue;
          }
          await ask(life, due);
          confirmed.add(due);
        } catch (error) {
          if (!(error instanceof RetryableError)) throw error;
          // Whoever is told that it will be long comes back later.
          const pauseMsMax = error.code === 'DB_RESTORED' ? REST_MS_MAX : PAUSE_MS_MAX;
          await life.clock.sleep(life.random.next() * pauseMsMax, life.signal);
        }
      }
    },
  };
}

/** Customers of `dev` who take some of their money out again: the requests that an exchange would make, through the service that the mutation uses. */
import type { Clock } from '../env/clock.ts';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import { TREASURY } from '../simnet/network.ts';
import type { Simnet } from '../simnet/simnet.ts';
import { amountOf, parseAmount } from '../tokens/amount.ts';
import type { Instrument } from '../tokens/transfer-record.ts';
import type { Service } from './service.ts';
import { WITHDRAWN_INSTRUMENT } from './simnet-receivers.ts';

const INTERVAL_MS = 4_000; // Rarer than deposits, so that the treasury never runs dry.
const FIRST_AFTER_MS = 6_000; // By then there is something to take out.

/** Runs until `signal` aborts. A request that fails is logged; the next one goes on. */
export async function runWithdrawers(options: {
  readonly service: Service;
  readonly simnet: Simnet;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { service, simnet, clock, random, logger, signal } = options;
  const { network, customers } = simnet;
  await clock.sleep(FIRST_AFTER_MS, signal);
  while (!signal.aborted) {
    const customer = customers[Math.floor(random.next() * customers.length)];
    const balance =
      customer === undefined ? 0n : await balanceOf(service, customer.name, network.instrument(WITHDRAWN_INSTRUMENT));
    // Half of what he has: an exchange that keeps its own books would refuse him more, and the demonstration should not look odd.
    const amount = (balance * BigInt(1 + Math.floor(random.next() * 50))) / 100n;
    if (customer !== undefined && amount > 0n && service.withdrawals !== null) {
      const request = {
        client: 'dev',
        idempotencyKey: random.uuid(),
        account: customer.name,
        treasuryParty: network.party(TREASURY),
        instrument: network.instrument(WITHDRAWN_INSTRUMENT),
        receiver: customer.party,
        amount: amountOf(amount),
        memo: null,
      };
      await service.withdrawals.create(request).catch((error: unknown) => {
        logger.warn('A customer’s withdrawal was not accepted.', { why: messageOf(error) });
      });
    }
    await clock.sleep(INTERVAL_MS, signal);
  }
}

/** What the books owe a customer, in units of 10⁻¹⁰. */
async function balanceOf({ db }: Service, owner: string, { admin, id }: Instrument): Promise<bigint> {
  const row = await db
    .selectFrom('account_balance as b')
    .innerJoin('account as a', 'a.id', 'b.account_id')
    .innerJoin('instrument as i', 'i.id', 'b.instrument_id')
    .select('b.balance')
    .where('a.kind', '=', 'CUSTOMER')
    .where('a.owner', '=', owner)
    .where('i.admin', '=', admin)
    .where('i.instrument_id', '=', id)
    .executeTakeFirst();
  return row?.balance == null ? 0n : parseAmount(row.balance);
}

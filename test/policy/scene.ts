/** Policies on a real database, with a clock that tests move: requests, approvals and changes of the policy as the service wires them. */

import { sql } from 'kysely';
import type { Clock } from '../../src/env/clock.ts';
import { systemClock } from '../../src/env/system.ts';
import { createApprovals } from '../../src/policy/approvals.ts';
import { formatIntentHash } from '../../src/policy/intent.ts';
import { createPolicyChanges } from '../../src/policy/policy-changes.ts';
import { passOverPolicy } from '../../src/policy/policy-loop.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { createWithdrawals, type WithdrawalRequest } from '../../src/withdrawals/withdrawal-requests.ts';
import { createTestDatabase } from '../support/database.ts';
import { AMULET_ADMIN, createRows } from '../support/rows.ts';

export const RECEIVER = `bob::1220${'ab'.repeat(32)}`;
export const AMULET = { admin: AMULET_ADMIN, id: 'Amulet' };
export const TREASURY = 'treasury::1220bb';
export const HOUR = 3_600_000_000n;

export type PolicyScene = Awaited<ReturnType<typeof startPolicyScene>>;

export async function startPolicyScene() {
  const database = await createTestDatabase();
  const { db, logger } = database;
  const rows = createRows(db);
  await rows.treasury(TREASURY);
  await rows.instrument();
  let nowMicros = systemClock.nowMicros();
  const clock: Clock = { ...systemClock, nowMicros: () => nowMicros };
  const takers = Array.from({ length: 4 }, () =>
    createWithdrawals({ db, clock, network: 'testnet', idKey: new Uint8Array(32).fill(7) }),
  );
  const [withdrawals] = takers;
  if (withdrawals === undefined) throw new RangeError('Nobody takes requests.');
  const approvals = createApprovals({ db, clock });
  const changes = createPolicyChanges({ db, clock, network: 'testnet' });
  let count = 0;

  async function request(wanted: Partial<Omit<WithdrawalRequest, 'amount'>> & { readonly amount?: string } = {}) {
    count += 1;
    // By turns, as several processes would: what one of them gets at the same moment it takes in one transaction.
    const taker = takers[count % takers.length];
    if (taker === undefined) throw new RangeError('Nobody takes requests.');
    const { id } = await taker.create({
      client: 'exchange',
      idempotencyKey: `key ${count}`,
      account: 'alice',
      treasuryParty: TREASURY,
      instrument: AMULET,
      receiver: RECEIVER,
      memo: null,
      ...wanted,
      amount: parseAmount(wanted.amount ?? '10'),
    });
    return id;
  }

  const rowOf = async (id: string) =>
    await db.selectFrom('withdrawal').selectAll().where('id', '=', id).executeTakeFirstOrThrow();

  return {
    database,
    db,
    rows,
    clock,
    withdrawals,
    approvals,
    changes,
    request,
    rowOf,
    stateOf: async (id: string) => (await rowOf(id)).state,
    hashOf: async (id: string): Promise<string> => {
      const { rows: found } = await sql<{ hash: Buffer }>`SELECT withdrawal_intent_hash(${id}) AS hash`.execute(db);
      return formatIntentHash(found[0]?.hash ?? Buffer.alloc(0));
    },
    /** Sets the first policy. */
    setPolicy: async (policy: unknown) =>
      await changes.setFirst({ document: JSON.stringify(policy), why: 'the first one', by: 'root' }),
    advance: (micros: bigint) => {
      nowMicros += micros;
    },
    pass: async () => await passOverPolicy({ db, clock, logger }, { isSearched: true }),
    bookedBack: async (id: string) => {
      const { rows: entries } = await sql`SELECT FROM journal_entry WHERE cause = ${`withdrawal:${id}:back`}`.execute(
        db,
      );
      return entries.length === 1;
    },
  };
}

/** Everything needs `approvals` people. */
export const peopleFor = (approvals: number, change = { approvals: 2, delaySeconds: 3_600 }) => ({
  change,
  approvalSeconds: 86_400,
  otherwise: { approvals },
  rules: [],
});

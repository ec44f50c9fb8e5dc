/**
 * A treasury in pieces: some schedules fund it with dust, let a transaction take few inputs, and keep a pool of large holdings, so that withdrawals wait for merges and splits, which meet the same faults as payments.
 *
 * Such a transfer to ourselves serves no customer, and so nobody would ask for what it holds: what is looked at is that it stays ours, that it ends, and that its end is what the ledger says.
 */
import type pg from 'pg';
import type { Database } from '../../src/db/connection.ts';
import type { Micros } from '../../src/env/clock.ts';
import { type Network, TREASURY } from '../../src/simnet/network.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { setPoolTarget } from '../../src/withdrawals/pool/pool-targets.ts';
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { Marks } from './marks.ts';
import { DIRECT } from './orders.ts';
import type { Truth } from './truth.ts';
import { must } from './violation.ts';

export type Pools = {
  readonly isOn: boolean;
  /** Breaks the treasury's funds into pieces. */
  fund(): Promise<void>;
  /** Before any process starts. */
  begin(db: Database, treasuryId: number, nowMicros: Micros): Promise<void>;
  /** @throws Violation. When nobody works any more. */
  atRest(observer: pg.Client): Promise<void>;
};

const SELF_TRANSFERS = `
  SELECT x.id, x.kind, x.why, x.state, coalesce(x.reason, '') AS reason, x.update_id AS "updateId",
         EXISTS (SELECT FROM submission s JOIN attempt a ON a.submission_id = s.id AND a.state = 'OPEN' WHERE s.self_transfer_id = x.id) AS "isOpen"
  FROM self_transfer x`;

type SelfTransfer = {
  readonly id: string;
  readonly kind: string;
  readonly why: string;
  readonly state: string;
  readonly reason: string;
  readonly updateId: string | null;
  readonly isOpen: boolean;
};

export function createPools({
  network,
  truth,
  faults,
  dice,
  marks,
}: {
  readonly network: Network;
  readonly truth: Truth;
  readonly faults: FaultPlan;
  readonly dice: Dice;
  readonly marks: Marks;
}): Pools {
  const isOn = faults.isDrawn('pools');
  return {
    isOn,
    fund: async () => {
      if (!isOn) return;
      for (let count = dice.integer(3, 9); count > 0; count -= 1) {
        network.tap({ instrument: DIRECT, owner: TREASURY, amount: `${dice.integer(0, 6)}.${dice.integer(1, 9)}` });
        await truth.catchUp();
      }
    },
    begin: async (db, treasuryId, nowMicros) => {
      if (!isOn) return;
      const { admin, id } = network.instrument(DIRECT);
      const { id: instrumentKey } = await db
        .selectFrom('instrument')
        .select('id')
        .where('admin', '=', admin)
        .where('instrument_id', '=', id)
        .executeTakeFirstOrThrow();
      await setPoolTarget(db, {
        treasuryId,
        instrumentKey,
        count: dice.integer(0, 4),
        amount: parseAmount(String(dice.integer(8, 30))),
        inputsMax: dice.integer(2, 4),
        by: 'simulation',
        nowMicros,
      });
    },
    atRest: async (observer) => {
      if (!isOn) return;
      const { rows } = await observer.query<SelfTransfer>({ name: 'self-transfers', text: SELF_TRANSFERS });
      // The network names them itself, in what the ledger keeps of a transfer.
      const named = await truth.naming(rows.map(({ id }) => id));
      for (const row of rows) {
        const { id, kind, why, state, reason, updateId } = row;
        const seen = named.get(id) ?? [];
        must(row.isOpen === (state === 'IN_FLIGHT'), 'a transfer to ourselves is under way while its attempt is', row);
        must(seen.length <= 1, 'a transfer to ourselves happens once', { ...row, seen });
        must(
          state === 'DONE' ? updateId !== null && updateId === seen[0] : seen.length === 0,
          'a transfer to ourselves is done if and only if the ledger shows it',
          { ...row, seen },
        );
        marks.add(`${kind} for ${why} ${state}${reason === '' ? '' : ` ${reason}`}`);
      }
    },
  };
}

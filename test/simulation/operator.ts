/** People who operate Sluice: they throw kill switches and lift them, two for each, and call withdrawals off, at any time and through any process. */
import { sql } from 'kysely';
import { type Network, TREASURY } from '../../src/simnet/network.ts';
import { HaltRefusal } from '../../src/submissions/halt-refusal.ts';
import { type HaltScope, haltMoney, liftHalt } from '../../src/submissions/halts.ts';
import { ControlRefusal } from '../../src/withdrawals/control-refusal.ts';
import { retryNow } from '../../src/withdrawals/retry-now.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { releaseWithdrawal, type StopKind, stopWithdrawal } from '../../src/withdrawals/withdrawal-stops.ts';
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { Marks } from './marks.ts';
import { NETWORK } from './network-name.ts';
import { CLIENT, DIRECT, ID_KEY, SEAL } from './orders.ts';
import { actThrough } from './people.ts';
import type { Life } from './process.ts';

export type Operator = {
  /** Interferes while faults strike and puts right what stands when they have ended, through one life of a process. */
  run(life: Life): Promise<void>;
};

const PAUSE_MS_MAX = 1_500;
const OPERATORS = ['operatorHalts', 'operatorCancels', 'operatorStops'] as const;

export function createOperator({
  network,
  faults,
  marks,
  dice,
  triesMax,
}: {
  /** Of an attempt. */
  readonly triesMax: number;
  readonly network: Network;
  readonly faults: FaultPlan;
  readonly marks: Marks;
  readonly dice: Dice;
}): Operator {
  const treasury = { network: NETWORK, party: network.party(TREASURY) };
  const instrument = network.instrument(DIRECT);
  const scopes: readonly HaltScope[] = [
    { treasury: null, instrument: null },
    { treasury, instrument: null },
    { treasury: null, instrument },
    { treasury, instrument },
  ];

  const standing = async ({ db }: Life): Promise<readonly string[]> =>
    (await db.selectFrom('halt').select('id').where('lifted_at', 'is', null).orderBy('id').execute()).map(
      ({ id }) => id,
    );
  const lift = async (life: Life, id: string): Promise<void> => {
    for (const by of ['operator-1', 'operator-2'])
      await liftHalt(life.db, id, { by, why: 'looked at', nowMicros: life.clock.nowMicros() });
    marks.add('halt lifted');
  };
  const cancelAny = async (life: Life): Promise<void> => {
    const { rows } = await sql<{ id: string; state: string }>`
      SELECT id, state FROM withdrawal WHERE state IN ('QUEUED', 'IN_FLIGHT', 'OFFERED') ORDER BY idempotency_key`.execute(
      life.db,
    );
    const [chosen] = rows;
    if (chosen === undefined) return;
    const withdrawals = createWithdrawals({
      db: life.db,
      clock: life.clock,
      network: NETWORK,
      idKey: ID_KEY,
      ...(life.history !== null && { seal: SEAL, log: life.history.memory }),
    });
    if (await withdrawals.cancel(CLIENT, chosen.id)) marks.add(`withdrawal called off while ${chosen.state}`);
  };
  const open = async ({ db }: Life): Promise<readonly string[]> =>
    (
      await db
        .selectFrom('withdrawal')
        .select('id')
        .where('state', 'in', ['REQUESTED', 'AWAITING_APPROVAL', 'QUEUED', 'IN_FLIGHT', 'OFFERED'])
        .orderBy('idempotency_key')
        .execute()
    ).map(({ id }) => id);
  const stops = async ({ db }: Life) =>
    await db
      .selectFrom('withdrawal_stop')
      .innerJoin('withdrawal', 'withdrawal.id', 'withdrawal_stop.withdrawal_id')
      .select(['withdrawal_id as id', 'kind'])
      .where('released_at', 'is', null)
      .where('withdrawal.state', 'not in', ['REJECTED', 'CANCELLED', 'FAILED', 'RETURNED', 'COMPLETED'])
      .orderBy('withdrawal_stop.id')
      .execute();
  const release = async (life: Life, id: string, kind: string): Promise<void> => {
    const word = { by: 'operator-2', why: 'looked at', nowMicros: life.clock.nowMicros() };
    await releaseWithdrawal(life.db, id, kind === 'HOLD' ? 'HOLD' : 'PARK', word);
    marks.add(`${kind} released`);
  };
  const stopAny = async (life: Life): Promise<void> => {
    const [standingStop] = await stops(life);
    if (standingStop !== undefined && dice.chance(0.5)) {
      await release(life, standingStop.id, standingStop.kind);
      return;
    }
    const ids = await open(life);
    if (ids.length === 0) return;
    const id = dice.pick(ids);
    const nowMicros = life.clock.nowMicros();
    const wanted = dice.pick<StopKind | 'RETRY'>(['HOLD', 'PARK', 'RETRY']);
    if (wanted === 'RETRY') await retryNow(life.db, id, { triesMax, nowMicros });
    else await stopWithdrawal(life.db, id, wanted, { by: 'operator-1', why: 'odd', nowMicros });
    marks.add(`operator: ${wanted}`);
  };
  const act = async (life: Life): Promise<void> => {
    if (faults.isOver()) {
      for (const id of await standing(life)) await lift(life, id);
      if (faults.isDrawn('operatorStops')) for (const { id, kind } of await stops(life)) await release(life, id, kind);
      return;
    }
    if (faults.strikes('operatorStops')) await stopAny(life);
    if (faults.strikes('operatorCancels')) await cancelAny(life);
    const halts = await standing(life);
    const [halt] = halts;
    if (halt !== undefined && dice.chance(0.5)) await lift(life, halt);
    else if (faults.strikes('operatorHalts')) {
      await haltMoney(life.db, dice.pick(scopes), { by: 'operator-1', why: 'odd', nowMicros: life.clock.nowMicros() });
      marks.add('halted');
    }
  };

  return {
    run: async (life) => {
      if (!OPERATORS.some((one) => faults.isDrawn(one))) return;
      await actThrough(life, {
        pauseMsMax: PAUSE_MS_MAX,
        act: async () => await act(life),
        isAnswer: (error) => error instanceof HaltRefusal || error instanceof ControlRefusal,
      });
    },
  };
}

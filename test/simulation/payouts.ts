/** Withdrawals in a schedule: what clients ask for, the automation that pays it, the people who interfere, and the participant, registry and signer that it asks. All of them do wrong what such services do wrong. */

import type pg from 'pg';
import type { RestoreWindow } from '../../src/db/database-restore.ts';
import { OUTBOX_CHANNEL } from '../../src/db/event-log.ts';
import { createWakeUp } from '../../src/db/polling-loop.ts';
import { recoverRefund } from '../../src/deposits/recovered-refund.ts';
import type { Participant } from '../../src/simnet/ledger/participant.ts';
import { type Network, TREASURY } from '../../src/simnet/network.ts';
import type { AttemptLimits } from '../../src/submissions/attempts.ts';
import { type AutomationOptions, runAutomation } from '../../src/withdrawals/automation.ts';
import { createPaymentRecovery } from '../../src/withdrawals/recovered-payments.ts';
import type { RecoverPayment } from '../../src/withdrawals/withdrawal-sink.ts';
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { Halts } from './halts.ts';
import type { LastMoment } from './last-moment.ts';
import type { Marks } from './marks.ts';
import { createOperator } from './operator.ts';
import { DIRECT, OFFERED, type Orders, SEAL } from './orders.ts';
import type { Policies } from './policies.ts';
import type { Pools } from './pools.ts';
import type { Life } from './process.ts';
import { registryFor } from './registry-access.ts';
import type { Extension } from './serve-loop.ts';
import { createSimulatedSigner } from './signer-access.ts';
import { submitterFor } from './submission-access.ts';
import type { Truth } from './truth.ts';

export type PayoutsOptions = {
  readonly network: Network;
  readonly participant: () => Participant;
  readonly faults: FaultPlan;
  readonly dice: Dice;
  readonly marks: Marks;
  readonly orders: Orders;
  readonly truth: Truth;
  readonly lastMoment: LastMoment;
  readonly halts: Halts;
  /** Whether a hash was written down in a history of the database that is gone. */
  readonly wasWritten: (hash: Uint8Array) => boolean;
  readonly policies: Policies;
  readonly pools: Pools;
  /** Sees what is committed. */
  readonly observer: pg.Client;
};

const USER = 'sluice';
/** Well beyond the skew of two processes; also the margin after a restore, as the command line has it. */
const CLOCKS_APART_MS_MAX = 60_000;

/** Whom a process asks about a submission of any purpose. */
export type Outside = Pick<AutomationOptions, 'submitter' | 'signer' | 'implementationOf' | 'userId'> & {
  readonly registry: ReturnType<typeof registryFor>;
};

export type Payouts = {
  /** What every process runs beside ingestion. */
  readonly extension: Extension;
  /** What gives payments back to withdrawals that a restored database does not know; nothing where it never goes back. */
  recoverOf(life: Life): RecoverPayment | undefined;
  /** For submissions beside those of withdrawals. @param onTried when one has reached the participant. */
  outsideOf(life: Life, onTried: () => void): Outside;
  /** Of an attempt of a withdrawal. */
  readonly limits: AttemptLimits;
  /** Whether anything was prepared for signing yet. */
  haveBegun(): boolean;
  /** Submissions that reached the participant. */
  tries(): number;
  /** How long after a restore of the database something that is lost may still commit. */
  readonly restoreWindow: RestoreWindow;
};

/** Gives the treasury its key and some funds. */
export async function createPayouts(options: PayoutsOptions): Promise<Payouts> {
  const { network, truth, dice, orders, faults, marks } = options;
  const signer = await createSimulatedSigner(options);
  for (const instrument of [DIRECT, OFFERED]) {
    if (instrument === OFFERED && !orders.haveOffers) continue;
    for (let count = dice.integer(1, 5); count > 0; count -= 1) {
      network.tap({ instrument, owner: TREASURY, amount: String(dice.integer(5, 80)) });
      await truth.catchUp();
    }
  }
  await options.pools.fund();
  network.setDelays({ sequencingMs: dice.integer(0, 300), verdictMs: dice.integer(0, 300) });
  const limits = {
    ttlMs: dice.pick([2_000, 6_000, 20_000]),
    recordTimeAgeMsMax: 35 * 60_000,
    recordTimeAheadMsMax: CLOCKS_APART_MS_MAX,
    attemptsMax: dice.pick([1, 2, 2, 4]),
    triesMax: dice.pick([2, 8]),
    tryHoldMs: dice.pick([500, 20_000]),
  };
  const returnRules = {
    reclaimAfterMs: dice.pick([0, 2_000]),
    triesMax: 50,
    backoffMsMin: 500,
    backoffMsMax: 2_000,
    triesPerAttemptMax: 3,
  };
  const restoreWindow: RestoreWindow = {
    ttlMicros: BigInt(limits.ttlMs) * 1_000n,
    marginMicros: BigInt(CLOCKS_APART_MS_MAX) * 1_000n,
  };
  const operator = createOperator({ network, faults, marks, dice, triesMax: limits.triesMax });

  let hasBegun = false;
  let tries = 0;
  const onBegun = (): void => {
    hasBegun = true;
  };
  const onTried = (): void => {
    tries += 1;
  };
  const outsideOf = (life: Life, onTried: () => void): Outside => ({
    submitter: submitterFor(life, { ...options, wrongSignatures: signer.wrongSignatures, onTried }),
    registry: registryFor(life, { network, faults, marks, onBegun }),
    signer: signer.accessFor(life),
    implementationOf: ({ id }) => (id === network.instrument(DIRECT).id ? 'SPLICE_AMULET' : 'UTILITY_REGISTRY'),
    userId: USER,
  });
  const extension: Extension = {
    loop: async (life, treasury) => {
      const wakeUp = createWakeUp(life.lazyClock);
      const unlisten = life.notifications.listen(OUTBOX_CHANNEL, wakeUp.wake);
      await Promise.all([
        orders.place(life),
        operator.run(life),
        runAutomation({
          ...life,
          ...(life.history !== null && { log: life.history.memory }),
          clock: life.lazyClock,
          treasury,
          limits,
          returnRules,
          ...outsideOf(life, onTried),
          wakeUp,
        }).finally(unlisten),
      ]);
    },
  };
  const recoverOf = ({ history, clock, logger }: Life): RecoverPayment | undefined =>
    history === null
      ? undefined
      : createPaymentRecovery({ seal: SEAL, clock, logger, window: restoreWindow, recoverRefund });
  return { extension, recoverOf, outsideOf, limits, haveBegun: () => hasBegun, tries: () => tries, restoreWindow };
}

/**
 * Screening in a schedule: deposits wait for a service that allows, denies, or does not answer, people decide what was denied, and an operator switches it on and off; where there is a policy, it wants withdrawals screened, too.
 * Without it, people may still decide about what nobody could be credited with.
 *
 * What the service said, and what people said, is kept outside of the database. No deposit is credited while deposits wait that the service has not allowed for its customer, unless two people overruled it; what was allowed is
 * credited, once; what was denied stays held; nothing is signed whose screening was not allowed; and nothing waits for ever.
 */
import type pg from 'pg';
import { OUTBOX_CHANNEL } from '../../src/db/event-log.ts';
import { createWakeUp } from '../../src/db/polling-loop.ts';
import { depositScreening } from '../../src/deposits/deposit-screening.ts';
import type { ScreeningQuestion } from '../../src/deposits/screening-client.ts';
import type { ScreeningKind } from '../../src/deposits/screening-kind.ts';
import { runScreening } from '../../src/deposits/screening-loop.ts';
import { agreeOnScreening } from '../../src/deposits/screening-mode.ts';
import type { Micros } from '../../src/env/clock.ts';
import { PermanentError } from '../../src/env/errors.ts';
import { type RetryPolicy, retry } from '../../src/env/retry.ts';
import { WITHDRAWAL_SCREENING } from '../../src/policy/withdrawal-screening.ts';
import type { Network } from '../../src/simnet/network.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { createClerks } from './clerks.ts';
import { createCompliance, type Switches } from './compliance.ts';
import { createDepositReferee } from './deposit-referee.ts';
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { Marks } from './marks.ts';
import { NETWORK } from './network-name.ts';
import { DIRECT, OFFERED } from './orders.ts';
import { payableHash } from './payable-intent.ts';
import type { Payable, Payables } from './payables.ts';
import type { Life } from './process.ts';
import { createScreeningService } from './screening-service.ts';
import type { Extension } from './serve-loop.ts';
import type { Traffic } from './traffic.ts';
import { must } from './violation.ts';

export type Screenings = {
  /** Whether a service is asked. */
  readonly isOn: boolean;
  /** Whether people decide about deposits, and all of them are followed. */
  readonly hasDesk: boolean;
  /** What every process runs for it. */
  readonly extension: Extension;
  /** At the start of a process, as `createDepositSink` has it. A process that was told otherwise does not start before it is switched. */
  start(life: Life): Promise<Micros | null>;
  /** What {@link start} gave; null: that life screens nothing. */
  sinceOf(life: Life): Micros | null;
  /** @throws Violation. After every commit. */
  afterCommit(): Promise<void>;
  /** The database went back. */
  wentBack(): void;
  /** Whether nothing waits for the service, as of the newest commit. */
  isAtRest(): boolean;
  /** @throws Violation. Every deposit is where it belongs, when nobody works any more. */
  atRest(): Promise<void>;
  /** Amounts, in whole tokens, beyond which the first policy and the second want a withdrawal screened; null: neither does. */
  readonly screenedAbove: readonly [first: number, second: number] | null;
  /** @throws Violation. A withdrawal that has to be screened is about to be signed. */
  demandAllowed(withdrawalId: string, payable: Payable): void;
};

/** As `serve` starts. */
const START: RetryPolicy = { attemptsMax: 10, delayMsMin: 200, delayMsMax: 5_000 };

export function createScreenings({
  network,
  faults,
  dice,
  marks,
  payables,
  traffic,
  areSentBack,
  observer,
}: {
  readonly network: Network;
  readonly faults: FaultPlan;
  readonly dice: Dice;
  readonly marks: Marks;
  readonly payables: Payables;
  readonly traffic: Traffic;
  /** Whether people send deposits back. */
  readonly areSentBack: boolean;
  readonly observer: pg.Client;
}): Screenings {
  const isOn = faults.isDrawn('screening');
  const hasDesk = isOn || areSentBack;
  const isForWithdrawals = isOn && faults.isDrawn('policies');
  const alone = dice.integer(5, 30);
  const { admin, id } = network.instrument(DIRECT);
  const limits = new Map([[`${admin}/${id}`, parseAmount(String(alone))]]);
  if (areSentBack) {
    const other = network.instrument(OFFERED);
    limits.set(`${other.admin}/${other.id}`, parseAmount(String(dice.integer(5, 60))));
  }
  const loopLimits = {
    triesMax: dice.pick([2, 50]),
    delayMsMin: dice.pick([100, 1_000]),
    delayMsMax: 4_000,
    pendingDelayMs: dice.pick([500, 5_000]),
    holdMs: dice.pick([12_000, 30_000]),
  };
  const screenedAbove = [dice.integer(0, 20), dice.integer(0, 20)] as const;
  const since = new WeakMap<Life, Micros | null>();

  /** By the units of a withdrawal: as what the service was asked about it. */
  const askedAs = new Map<bigint, { readonly id: string; readonly account: string }[]>();
  const demandTrue = (question: ScreeningQuestion): void => {
    if (question.kind === 'WITHDRAWAL') {
      const { withdrawalId: id, account } = question;
      const payable = payables.find(question.amount);
      must(
        payable !== undefined &&
          (payable.account ?? account) === account &&
          question.intentHash === payableHash(network, payable, question),
        'the screening service is asked about what was asked for',
        question,
      );
      askedAs.set(payable.units, [...(askedAs.get(payable.units) ?? []), { id, account }]);
      return;
    }
    if (question.kind === 'OFFER') return; // What was offered is not there yet.
    const deposit = referee.depositOf({ instrument: question.instrument.id, amount: question.amount });
    const isHis = deposit?.customer === question.account;
    must(
      deposit !== undefined && (isHis || clerks.voices(question.transferId, question.account).ever > 0),
      'the screening service is asked about what came, for whom it is',
      question,
    );
  };
  const clerks = createClerks({ faults, dice, marks, limits, areSentBack });
  const service = createScreeningService({
    faults,
    dice,
    marks,
    onAsked: demandTrue,
    onDenied: clerks.denied,
  });
  const switches: Switches = { now: () => referee.now(), hasHeldSince: (...asked) => referee.hasHeldSince(...asked) };
  const compliance = createCompliance({ clerks, faults, dice, marks, switches });
  const referee = createDepositReferee({ network, observer, traffic, payables, service, clerks, limits, marks });
  const idle = async (): Promise<void> => undefined;

  const agree = async ({ db, clock }: Life): Promise<Micros | null> => {
    const { isOn: waits, decided } = await agreeOnScreening(db, {
      network: NETWORK,
      isWanted: compliance.isWanted(),
      nowMicros: clock.nowMicros(),
    });
    return waits ? (decided?.at ?? null) : null;
  };
  const begin = async (life: Life): Promise<Micros | null> => {
    for (;;) {
      try {
        return await agree(life);
      } catch (error) {
        if (!(error instanceof PermanentError && error.code === 'DEPOSIT_SCREENING_DIFFERS')) throw error;
        marks.add('process not started since screening differs');
        // As its message says what is to be done.
        await compliance.keepSwitched(life);
      }
    }
  };
  const screen = async (life: Life, kind: ScreeningKind): Promise<void> => {
    const wakeUp = createWakeUp(life.lazyClock);
    const unlisten = life.notifications.listen(OUTBOX_CHANNEL, wakeUp.wake);
    const client = service.clientFor(life);
    await runScreening({ ...life, clock: life.lazyClock, client, limits: loopLimits, wakeUp, kind }).finally(unlisten);
  };

  return {
    isOn,
    hasDesk,
    screenedAbove: isForWithdrawals ? screenedAbove : null,
    start: async (life) => {
      const screenedSince = await retry(async () => await begin(life), START, life);
      since.set(life, screenedSince);
      return screenedSince;
    },
    sinceOf: (life) => since.get(life) ?? null,
    afterCommit: hasDesk ? referee.afterCommit : idle,
    wentBack: referee.wentBack,
    isAtRest: () => !isOn || referee.isAtRest(),
    atRest: referee.atRest,
    demandAllowed: (withdrawalId, { units }) => {
      const isAllowed = (askedAs.get(units) ?? []).some(
        (asked) => asked.id === withdrawalId && service.verdictOf(asked) === 'ALLOW',
      );
      must(isAllowed, 'nothing is signed that has to be screened and was not allowed', { withdrawalId, units });
      marks.add('signed as screening allowed');
    },
    extension: {
      loop: async (life) => {
        if (!isOn) {
          await clerks.run(life);
          return;
        }
        await Promise.all([
          compliance.run(life, since.get(life) ?? null),
          screen(life, depositScreening(clerks.withdrawalsOf(life))),
          ...(isForWithdrawals ? [screen(life, WITHDRAWAL_SCREENING)] : []),
        ]);
      },
    },
  };
}

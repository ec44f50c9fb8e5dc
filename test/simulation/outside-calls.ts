/**
 * Calls of a process to the outside, as operations of the scheduler: the request and the answer each take their turn, either may get lost, and the other side may be
 * silent. A lost answer says nothing of whether the call was carried out.
 */
import { Metadata } from '@grpc/grpc-js';
import { Status } from '../../src/gen/google/rpc/status.ts';
import { ledgerErrorOf } from '../../src/ledger/ledger-error.ts';
import { GRPC_CODE, isCantonError, statusOf } from '../../src/simnet/ledger/canton-error.ts';
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { Marks } from './marks.ts';
import type { Actor, Scheduler } from './scheduler.ts';
import { Violation } from './violation.ts';

/** Until when the other side is silent. */
export type Stall = { untilMicros: bigint };

export type OutsideCalls = {
  /**
   * Makes one call.
   * @param answer carries it out. Its refusals take the form they have on the wire, so that the project's own reading of them is at work.
   * @throws RetryableError or PermanentError, as the gRPC client does.
   */
  call<T>(name: string, answer: () => Promise<T>): Promise<T>;
  /** Resolves when the other side is not silent. */
  answering(label: string): Promise<void>;
};

export type OutsideCallsOptions = {
  readonly actor: Actor;
  readonly scheduler: Scheduler;
  readonly faults: FaultPlan;
  readonly dice: Dice;
  readonly marks: Marks;
  readonly stall: Stall;
};

export function createOutsideCalls({
  actor,
  scheduler,
  faults,
  dice,
  marks,
  stall,
}: OutsideCallsOptions): OutsideCalls {
  const answering = async (label: string): Promise<void> => {
    for (let now = scheduler.clock.nowMicros(); now < stall.untilMicros; now = scheduler.clock.nowMicros()) {
      marks.add('participant silent');
      await scheduler.reach(actor, `${label} waits`, Number(stall.untilMicros - now) / 1_000);
    }
  };
  /** In one step, whatever the other side waits for meanwhile: nobody else moves. */
  const carryOut = <T>(label: string, answer: () => Promise<T>): Promise<PromiseSettledResult<T>> =>
    new Promise((resolve) => {
      scheduler.enqueue({
        actor,
        label,
        run: async () => {
          const [outcome] = await Promise.allSettled([answer()]);
          // What the other side saw is for the referee, not for the caller.
          if (outcome.status === 'rejected' && outcome.reason instanceof Violation) throw outcome.reason;
          resolve(outcome);
          return outcome.status;
        },
      });
    });
  return {
    answering,
    call: async (name, answer) => {
      await scheduler.reach(actor, `call ${name}`);
      await answering(name);
      const isLost = faults.strikes('callFailed');
      if (isLost && dice.chance(0.5)) throw unavailable(name);
      const outcome = await carryOut(`do ${name}`, answer);
      // A process that died meanwhile hears neither answer nor refusal: this never returns for it.
      await scheduler.reach(actor, `answer ${name}`);
      if (isLost) {
        marks.add(`answer of ${name} lost`);
        throw unavailable(name);
      }
      if (outcome.status === 'rejected') throw wireErrorOf(outcome.reason, name);
      return outcome.value;
    },
  };
}

/** @returns the error of the simulated network as the project's gRPC client would have read it. */
export function wireErrorOf(error: unknown, method: string): Error {
  if (!isCantonError(error)) return ledgerErrorOf(error, method);
  const status = statusOf(error.refusal);
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', Buffer.from(Status.encode(status).finish()));
  const refusal = Object.assign(new Error(status.message), { code: status.code, details: status.message, metadata });
  return ledgerErrorOf(refusal, method);
}

/** The connection broke. */
export function unavailable(method: string): Error {
  const details = 'No connection established.';
  const error = Object.assign(new Error(details), { code: GRPC_CODE.unavailable, details, metadata: new Metadata() });
  return ledgerErrorOf(error, method);
}

/** Those who go on whatever we do: customers, people who are offered withdrawals, and fate. */
import type { Dice } from './dice.ts';
import type { Payees } from './payees.ts';
import type { Scheduler } from './scheduler.ts';
import type { Traffic } from './traffic.ts';
import type { Truth } from './truth.ts';

export type Bystanders = {
  begin(): void;
  /** Fate strikes no more, and customers come to an end. */
  calm(): void;
  areCustomersDone(): boolean;
};

const OFFER_MS_MAX = 2_000;
const FATE_MS_MAX = 1_500;
/** What customers still do when the faults have ended: it arrives like what they did before. */
const CALM_OPERATIONS_MAX = 2;

export function createBystanders({
  scheduler,
  shape,
  operations,
  traffic,
  payees,
  truth,
  strike,
}: {
  readonly scheduler: Scheduler;
  readonly shape: Dice;
  /** How many things customers do, at least and at most. */
  readonly operations: readonly [least: number, most: number];
  readonly traffic: Traffic;
  /** Null: nobody is offered anything. */
  readonly payees: Payees | null;
  readonly truth: Truth;
  /** @returns what happened, for the trace. */
  readonly strike: () => Promise<string>;
}): Bystanders {
  let operationsLeft = shape.integer(...operations);
  let areCustomersDone = false;
  let isCalm = false;
  const customers = scheduler.createActor('customers');
  const meanMs = shape.logUniform(2, 500);
  const customersAct = (): void => {
    operationsLeft -= 1;
    scheduler.enqueue({
      actor: customers,
      label: 'act',
      delayMs: shape.next() * 2 * meanMs,
      run: async () => {
        const done = traffic.act();
        await truth.catchUp();
        if (operationsLeft > 0) customersAct();
        else areCustomersDone = true;
        return done;
      },
    });
  };
  const payee = scheduler.createActor('payees');
  const payeesAct = (their: Payees): void => {
    scheduler.enqueue({
      actor: payee,
      label: 'answer an offer',
      delayMs: shape.next() * OFFER_MS_MAX,
      run: async () => {
        const done = their.act();
        await truth.catchUp();
        payeesAct(their);
        return done === 'nothing' ? null : done;
      },
    });
  };
  const disrupt = (): void => {
    scheduler.enqueue({
      actor: scheduler.createActor('fate'),
      label: 'fate',
      delayMs: shape.next() * FATE_MS_MAX,
      run: async () => {
        if (isCalm) return null;
        disrupt();
        return await strike();
      },
    });
  };
  return {
    begin: () => {
      customersAct();
      if (payees !== null) payeesAct(payees);
      disrupt();
    },
    calm: () => {
      isCalm = true;
      operationsLeft = Math.min(operationsLeft, CALM_OPERATIONS_MAX);
    },
    areCustomersDone: () => areCustomersDone,
  };
}

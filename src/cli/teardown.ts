/**
 * What has been started, to be stopped in the reverse order: on the way out, and half-way in when a later part fails to start. Each part has a
 * name, so that a shutdown that hangs can say on what.
 */
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';

export type Teardown = {
  /** Registers what undoes a step; call it right after the step succeeded. @param inside what of it is being undone, when that is known. */
  add(name: string, undo: () => Promise<void> | void, inside?: () => string | null): void;
  /** Undoes everything, the newest first. A failing part is logged and the others are still undone. Repeated calls share one run. */
  run(): Promise<void>;
  /** What is being undone at the moment; null before, between and after. */
  current(): string | null;
};

export function createTeardown(logger: Logger): Teardown {
  const steps: Step[] = [];
  let current: Step | null = null;
  let running: Promise<void> | null = null;

  async function undoAll(): Promise<void> {
    for (let step = steps.pop(); step !== undefined; step = steps.pop()) {
      current = step;
      try {
        await step.undo();
      } catch (error) {
        logger.error('A part did not stop cleanly.', { part: step.name, why: messageOf(error) });
      }
    }
    current = null;
  }

  return {
    add: (name, undo, inside = () => null) => {
      steps.push({ name, undo, inside });
    },
    run: async () => {
      running ??= undoAll();
      await running;
    },
    current: () => current?.inside() ?? current?.name ?? null,
  };
}

type Step = {
  readonly name: string;
  readonly undo: () => Promise<void> | void;
  readonly inside: () => string | null;
};

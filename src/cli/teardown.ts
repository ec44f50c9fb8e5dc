/**
 * What has been started, to be stopped in the reverse order: on the way out, and half-way in when a later part fails to start. Each part has a
 * name, so that a shutdown that hangs can say on what.
 */
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';

export type Teardown = {
  /** Registers what undoes a step; call it right after the step succeeded. */
  add(name: string, undo: () => Promise<void> | void): void;
  /** Undoes everything, the newest first. A failing part is logged and the others are still undone. Repeated calls share one run. */
  run(): Promise<void>;
  /** What is being undone at the moment; null before, between and after. */
  current(): string | null;
};

export function createTeardown(logger: Logger): Teardown {
  const steps: { readonly name: string; readonly undo: () => Promise<void> | void }[] = [];
  let current: string | null = null;
  let running: Promise<void> | null = null;

  async function undoAll(): Promise<void> {
    for (let step = steps.pop(); step !== undefined; step = steps.pop()) {
      current = step.name;
      try {
        await step.undo();
      } catch (error) {
        logger.error('A part did not stop cleanly.', { part: step.name, why: messageOf(error) });
      }
    }
    current = null;
  }

  return {
    add: (name, undo) => {
      steps.push({ name, undo });
    },
    run: async () => {
      running ??= undoAll();
      await running;
    },
    current: () => current,
  };
}

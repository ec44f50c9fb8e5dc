/** Counts what a signer answers. */
import { type Clock, microsToMillis } from '../env/clock.ts';
import { PermanentError, RetryableError } from '../env/errors.ts';
import type { Measures } from '../env/measures.ts';
import type { Signer } from './signer.ts';

export function measuredSigner(
  signer: Signer,
  { clock, measures }: { readonly clock: Clock; readonly measures: Measures },
): Signer {
  return {
    ...signer,
    sign: async (request, signal) => {
      const startedAt = clock.nowMicros();
      const answered = (result: string): void => {
        measures.signerAnswered({ result, durationMs: microsToMillis(clock.nowMicros() - startedAt) });
      };
      try {
        const signature = await signer.sign(request, signal);
        answered('SIGNED');
        return signature;
      } catch (error) {
        answered(error instanceof RetryableError || error instanceof PermanentError ? error.code : 'UNEXPECTED');
        throw error;
      }
    },
  };
}

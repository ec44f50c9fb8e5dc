/** `Error`: what every expected refusal of a mutation tells. */
import type { PermanentError, RetryableError } from '../env/errors.ts';
import { builder } from './builder.ts';

/** An expected refusal: one of ours, with advice for whoever reads it. */
export type Refusal = (PermanentError | RetryableError) & {
  readonly advice: { readonly why: string; readonly fix: string };
};

export const ErrorInterface = builder.interfaceRef<Refusal>('Error').implement({
  description: 'An expected refusal. Nothing was changed. Since 0.1.',
  fields: (t) => ({
    code: t.exposeString('code', { description: 'Stable, for programs. Scope: as the mutation. Since 0.1.' }),
    message: t.exposeString('message', { description: 'For people; may change. Scope: as the mutation. Since 0.1.' }),
    why: t.string({
      description: 'Why it is refused. Scope: as the mutation. Since 0.1.',
      resolve: ({ advice }) => advice.why,
    }),
    fix: t.string({
      description: 'What to do about it. Scope: as the mutation. Since 0.1.',
      resolve: ({ advice }) => advice.fix,
    }),
    retryable: t.exposeBoolean('retryable', {
      description: 'Whether the same call may succeed later. Scope: as the mutation. Since 0.1.',
    }),
  }),
});

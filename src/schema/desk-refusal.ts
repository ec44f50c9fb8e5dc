/** What the desk refuses, as clients see it. */
import { DESK_REFUSAL_CODES, DeskRefusal } from '../deposits/desk-refusal.ts';
import { builder } from './builder.ts';
import { ErrorInterface } from './error-interface.ts';

export { DeskRefusal as DeskRefusalError };

builder.objectType(DeskRefusal, {
  name: 'DeskRefusal',
  description: `The desk does not do it. Codes ${DESK_REFUSAL_CODES.map((code) => `\`${code}\``).join(', ')}. Scope: \`desk\`. Since 0.1.`,
  authScopes: { desk: true },
  interfaces: [ErrorInterface],
});

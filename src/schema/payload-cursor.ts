/** `cursor` on the payload of every mutation: what `@atLeast` and a subscription's `after` take, so that one reads what one wrote. */
import { formatEventCursor } from '../db/event-cursor.ts';
import { readNumberedEnd } from '../db/numbered-end.ts';
import { builder } from './builder.ts';

/** Adds it to every type there is by then whose name ends in `Payload`: whoever adds a mutation need not think of it. */
export function addPayloadCursors(): void {
  for (const [name, { graphqlKind }] of builder.configStore.typeConfigs) {
    if (graphqlKind !== 'Object' || !name.endsWith('Payload')) continue;
    // The builder takes names as well as references; its types know the references alone.
    builder.objectField(name as never, 'cursor', (t) =>
      t.field({
        type: 'Cursor',
        nullable: true,
        description:
          'A place in the event log that includes what this mutation did; asking for it waits until the log has that, some milliseconds. For `@atLeast`, and to subscribe from. Null: not within two seconds, since no worker runs; the mutation holds all the same. Scope: `read`. Since 0.1.',
        authScopes: { read: true },
        resolve: async (_payload, _args, { db, clock }) => {
          const end = await readNumberedEnd(db, clock);
          return end === null ? null : formatEventCursor(end);
        },
      }),
    );
  }
}

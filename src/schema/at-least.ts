/**
 * `@atLeast`: how fresh the database must be that a query is read from. A directive of the whole operation, since no field can make its
 * neighbours wait; so it holds for every field there is, on every transport (src/server/answers.ts).
 */
import { DirectiveLocation, GraphQLDirective, GraphQLInt, GraphQLScalarType, GraphQLSchema } from 'graphql';
import { assert } from '../env/errors.ts';

export const AT_LEAST = 'atLeast';

/** @returns the schema with the directive; its arguments are of the schema's own scalars. */
export function withAtLeast(schema: GraphQLSchema): GraphQLSchema {
  const scalar = (name: string): GraphQLScalarType => {
    const type = schema.getType(name);
    assert(type instanceof GraphQLScalarType, `The schema has no scalar ${name}.`);
    return type;
  };
  const directive = new GraphQLDirective({
    name: AT_LEAST,
    description:
      'Waits until the database that answers has what is demanded, else fails with `NOT_CAUGHT_UP`, which says how far it is. Holds for the whole query, on any replica. Scope: `read`; or `own`. Since 0.1.',
    locations: [DirectiveLocation.QUERY],
    args: {
      cursor: {
        type: scalar('Cursor'),
        description: 'Every event up to this one: of a subscription, of a mutation’s payload, or a `position`.',
      },
      recordTime: {
        type: scalar('RecordTime'),
        description: 'The ledger’s history up to it, of every treasury party served here.',
      },
      waitMs: {
        type: GraphQLInt,
        description:
          'Milliseconds to wait at most, from 0; the server has a limit of its own, which is also the default.',
      },
    },
  });
  return new GraphQLSchema({ ...schema.toConfig(), directives: [...schema.getDirectives(), directive] });
}

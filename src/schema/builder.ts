/** The schema builder: plugins, scalars and the options they share. Types are in files of their own, one each. */
import SchemaBuilder from '@pothos/core';
import DataloaderPlugin from '@pothos/plugin-dataloader';
import ErrorsPlugin from '@pothos/plugin-errors';
import RelayPlugin from '@pothos/plugin-relay';
import ScopeAuthPlugin from '@pothos/plugin-scope-auth';
import { Kind, type ValueNode } from 'graphql';
import type { Micros } from '../env/clock.ts';
import { formatRecordTime, parseRecordTime } from '../env/record-time.ts';
import type { JsonValue } from '../gen/db.ts';
import type { Amount } from '../tokens/amount.ts';
import { apiError, inputErrorOf } from './api-error.ts';
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX } from './connection.ts';
import type { ApiContext } from './context.ts';
import { formatDecimal, parseDecimal, parseDecimalLiteral } from './decimal.ts';
import { formatGlobalId, parseGlobalId } from './global-id.ts';
import { grantsOf } from './grants.ts';
import type { Scope } from './principal.ts';

export type SchemaTypes = {
  Context: ApiContext;
  AuthScopes: { [Name in Scope]: boolean };
  DefaultFieldNullability: false;
  DefaultEdgesNullability: { list: false; items: false };
  DefaultNodeNullability: false;
  Scalars: {
    ID: { Input: string; Output: string };
    /** Output: PostgreSQL's decimal text, or units of 10⁻¹⁰. */
    Decimal: { Input: Amount; Output: string | bigint };
    RecordTime: { Input: Micros; Output: Micros };
    Cursor: { Input: string; Output: string };
    BigInt: { Input: bigint; Output: bigint };
    JSON: { Input: never; Output: JsonValue };
  };
};

const NEEDS_READ = 'Scope: `read`. Since 0.1.';

export const builder = new SchemaBuilder<SchemaTypes>({
  plugins: [ErrorsPlugin, ScopeAuthPlugin, RelayPlugin, DataloaderPlugin],
  defaultFieldNullability: false,
  scopeAuth: {
    authScopes: ({ principal }) => grantsOf(principal),
    // Without it a subscription would be refused only at its first event.
    authorizeOnSubscribe: true,
    unauthorizedError: (_parent, _context, info) =>
      apiError('FORBIDDEN', `Your principal may not see ${info.parentType.name}.${info.fieldName}.`),
  },
  errors: {
    directResult: true,
  },
  relay: {
    cursorType: 'String',
    clientMutationId: 'omit',
    encodeGlobalID: (typename, id) => formatGlobalId(typename, String(id)),
    decodeGlobalID: (id) => {
      const { type, key } = parseGlobalId(id);
      return { typename: type, id: key };
    },
    nodeTypeOptions: { description: `Anything that has a global id. ${NEEDS_READ}` },
    idFieldOptions: {
      description:
        'Global id for `node`: opaque, and a function of ledger ids and names alone, so every installation gives it alike. Scope: as the type. Since 0.1.',
    },
    nodeQueryOptions: {
      description: `The object with this global id; null where there is none. ${NEEDS_READ}`,
      authScopes: { read: true },
      args: { id: { description: 'As an object’s `id` field gave it.' } },
    },
    nodesQueryOptions: {
      description: `The objects with these global ids, in their order; null where there is none. At most ${PAGE_SIZE_MAX}. ${NEEDS_READ}`,
      authScopes: { read: true },
      args: { ids: { description: `At most ${PAGE_SIZE_MAX}, each as an object’s \`id\` field gave it.` } },
      resolve: async (_root, { ids }, _context, _info, resolveNodes) => {
        if (ids.length > PAGE_SIZE_MAX) {
          throw apiError('PAGE_ARGUMENTS_INVALID', `At most ${PAGE_SIZE_MAX} ids.`, { pageSizeMax: PAGE_SIZE_MAX });
        }
        return await resolveNodes(ids);
      },
    },
    pageInfoTypeOptions: {
      description: `Where a page lies in its list. ${NEEDS_READ}`,
      authScopes: { read: true },
    },
    hasNextPageFieldOptions: { description: `Whether rows follow in the list’s order. ${NEEDS_READ}` },
    hasPreviousPageFieldOptions: { description: `Whether rows come before in the list’s order. ${NEEDS_READ}` },
    startCursorFieldOptions: { description: `Cursor of the first row; null on an empty page. ${NEEDS_READ}` },
    endCursorFieldOptions: { description: `Cursor of the last row; null on an empty page. ${NEEDS_READ}` },
    cursorFieldOptions: {
      description: `This row’s place in the list, opaque, for \`after\` and \`before\`. ${NEEDS_READ}`,
    },
    nodeFieldOptions: { description: `The row itself. ${NEEDS_READ}` },
    edgesFieldOptions: { description: `The rows with their cursors. ${NEEDS_READ}` },
    pageInfoFieldOptions: { description: `Where this page lies in its list. ${NEEDS_READ}` },
    nodesOnConnection: { description: `The rows without their cursors. ${NEEDS_READ}` },
    firstArgOptions: {
      description: `Rows from the start, 1–${PAGE_SIZE_MAX}; ${PAGE_SIZE_DEFAULT} unless given. More is refused.`,
    },
    lastArgOptions: { description: `Rows from the end, 1–${PAGE_SIZE_MAX}. Not together with \`first\`.` },
    afterArgOptions: { description: 'Only rows after this cursor of the same list.' },
    beforeArgOptions: { description: 'Only rows before this cursor of the same list.' },
    defaultConnectionTypeOptions: { description: `A page of a list. ${NEEDS_READ}`, authScopes: { read: true } },
    defaultEdgeTypeOptions: {
      description: `A row and its place in the list. ${NEEDS_READ}`,
      authScopes: { read: true },
    },
  },
});

builder.scalarType('Decimal', {
  description:
    'An exact decimal number as text with ten decimals, e.g. `"200.0000000000"`; units of the instrument. Sums may have any number of integer digits. As input at most 28 integer digits and ten decimals, as a string: a JSON number is refused. Since 0.1.',
  serialize: formatDecimal,
  parseValue: parseDecimal,
  parseLiteral: parseDecimalLiteral,
});

builder.scalarType('RecordTime', {
  description:
    'A time in UTC as RFC 3339 with exactly six decimals (microseconds), e.g. `"2026-11-22T04:33:07.000120Z"`; years 0001 to 9999. Since 0.1.',
  serialize: formatRecordTime,
  parseValue: (value) => asText('RecordTime', value, parseRecordTime),
  parseLiteral: (node) => asText('RecordTime', textOf(node), parseRecordTime),
});

builder.scalarType('Cursor', {
  description:
    'A place in the event log, opaque. Holds no participant offset, so it survives failover, restore of a validator and upgrades. Pass it back as `after`, exactly as received. Since 0.1.',
  serialize: (value) => value,
  parseValue: (value) => asText('Cursor', value, (text) => text),
  parseLiteral: (node) => asText('Cursor', textOf(node), (text) => text),
});

const INTEGER = /^-?(0|[1-9][0-9]{0,38})$/;

builder.scalarType('BigInt', {
  description: 'A whole number of any size, as text: JSON numbers lose digits beyond 2⁵³. Since 0.1.',
  serialize: String,
  parseValue: (value) => asText('BigInt', value, parseInteger),
  parseLiteral: (node) => asText('BigInt', textOf(node), parseInteger),
});

builder.scalarType('JSON', {
  description: 'A JSON value as the ledger’s record holds it. Output only. Since 0.1.',
  serialize: (value) => value,
});

function parseInteger(text: string): bigint {
  if (!INTEGER.test(text)) throw apiError('INTEGER_INVALID', 'Not a whole number.');
  return BigInt(text);
}

function textOf(node: ValueNode): string | null {
  return node.kind === Kind.STRING ? node.value : null;
}

function asText<T>(scalar: string, value: unknown, parse: (text: string) => T): T {
  if (typeof value !== 'string') throw apiError('BAD_USER_INPUT', `A ${scalar} is written as a string.`);
  try {
    return parse(value);
  } catch (error) {
    throw inputErrorOf(error);
  }
}

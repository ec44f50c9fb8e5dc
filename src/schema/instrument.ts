/** `Instrument` and its queries. */
import { type Instrument, listInstruments, readInstruments } from '../read/instruments.ts';
import { ledgerKey } from '../read/ledger-keys.ts';
import { builder } from './builder.ts';
import { connectionOf } from './connection.ts';
import { keyOfGlobalId, partsOfKey } from './global-id.ts';

const KEY_PARTS = ['network', 'admin', 'instrumentId'] as const;

/** The instrument an id argument names; null when it was not given. @throws GraphQLError ID_INVALID. */
export function instrumentOfId(id: string | null | undefined) {
  return id == null ? null : partsOfKey(keyOfGlobalId('Instrument', id), KEY_PARTS);
}

export const InstrumentRef = builder.objectRef<Instrument>('Instrument');

builder.node(InstrumentRef, {
  description:
    'A kind of token: its admin party and the id the admin gave it. Two instruments of one id and different admins are different tokens. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  id: { resolve: ({ network, admin, instrumentId }) => ledgerKey(network, admin, instrumentId) },
  loadManyWithoutCache: async (keys, { db }) =>
    await readInstruments(
      db,
      keys.map((key) => partsOfKey(key, KEY_PARTS)),
    ),
  isTypeOf: (value) => typeof value === 'object' && value !== null && 'isAccepted' in value,
  fields: (t) => ({
    network: t.exposeString('network', { description: 'Name of the Canton network. Scope: `read`. Since 0.1.' }),
    admin: t.exposeString('admin', { description: 'Party id of the admin. Scope: `read`. Since 0.1.' }),
    instrumentId: t.exposeString('instrumentId', {
      description: 'The id the admin gave it, e.g. `Amulet`. Scope: `read`. Since 0.1.',
    }),
    name: t.exposeString('name', { description: 'For people; says nothing certain. Scope: `read`. Since 0.1.' }),
    isAccepted: t.exposeBoolean('isAccepted', {
      description:
        'Whether deposits of it are credited. Others are counted and shown, and wait unattributed. Scope: `read`. Since 0.1.',
    }),
  }),
});

builder.queryField('instruments', (t) =>
  t.connection(
    {
      type: InstrumentRef,
      description: 'Every instrument seen or configured, by network, admin and id. Scope: `read`. Since 0.1.',
      authScopes: { read: true },
      args: { isAccepted: t.arg.boolean({ description: 'Only those whose deposits are, or are not, credited.' }) },
      resolve: async (_root, { isAccepted, ...page }, { db }) =>
        await connectionOf(
          { name: 'instruments', key: 'ttt' },
          page,
          async (request) => await listInstruments(db, { isAccepted: isAccepted ?? null }, request),
          ({ network, admin, instrumentId }) => [network, admin, instrumentId],
        ),
    },
    { name: 'InstrumentConnection' },
    { name: 'InstrumentEdge' },
  ),
);

/** `DepositAccount`, the address customers pay to, its queries and its mutation. */
import {
  type DepositAccount,
  DepositInputError,
  keyOfDepositAccount,
  listDepositAccounts,
  MemoTakenError,
  NetworkUnknownError,
  readDepositAccounts,
} from '../deposits/deposit-accounts.ts';
import { depositUri } from '../deposits/deposit-uri.ts';
import type { JsonValue } from '../gen/db.ts';
import { isStorableText, ledgerKey } from '../read/ledger-keys.ts';
import { NO_ROWS } from '../read/page.ts';
import { readTreasuryPartiesOf, type TreasuryParty } from '../read/treasury-parties.ts';
import { AccountRef } from './account.ts';
import { builder } from './builder.ts';
import { connectionOf } from './connection.ts';
import { DepositAccountRef } from './deposit-account-ref.ts';
import { ErrorInterface } from './error-interface.ts';
import { partsOfKey } from './global-id.ts';
import { TreasuryPartyRef } from './treasury-party-ref.ts';

type DepositAddress = { readonly treasury: TreasuryParty; readonly memo: string };

const DepositAddressRef = builder.objectRef<DepositAddress>('DepositAddress').implement({
  description: 'What a customer is shown: send to this party, with this memo. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    treasury: t.field({
      type: TreasuryPartyRef,
      description: 'Who receives. Scope: `read`. Since 0.1.',
      resolve: ({ treasury }) => treasury,
    }),
    party: t.string({
      description: 'Party id to send to. Scope: `read`. Since 0.1.',
      resolve: ({ treasury }) => treasury.party,
    }),
    memo: t.exposeString('memo', {
      description: 'To be given as the transfer’s reason, exactly, upper and lower case. Scope: `read`. Since 0.1.',
    }),
    qrPayload: t.string({
      description:
        'Party and memo in one text, for a QR code: `<party id>?memoId=<memo, percent-encoded>`, as BitGo writes Canton addresses. Scope: `read`. Since 0.1.',
      resolve: ({ treasury, memo }) => depositUri(treasury.party, memo),
    }),
  }),
});

const DepositAccountStateEnum = builder.enumType('DepositAccountState', {
  description: 'How deposits with a memo are treated. Whose it is never changes. Since 0.1.',
  values: {
    ACTIVE: { description: 'It is shown, and its deposits are credited.' },
    RETIRED: { description: 'Another one is shown in its place; its deposits are credited all the same.' },
    DISABLED: { description: 'Its deposits wait at the desk, with a note whose it was.' },
  } as const,
});

type MetadataEntry = { readonly key: string; readonly value: string };

const DepositMetadataEntryRef = builder.objectRef<MetadataEntry>('DepositMetadataEntry').implement({
  description: 'A note of the exchange’s own. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    key: t.exposeString('key', { description: 'Its name. Scope: `read`. Since 0.1.' }),
    value: t.exposeString('value', { description: 'Its text. Scope: `read`. Since 0.1.' }),
  }),
});

const DepositMetadataEntryInput = builder.inputType('DepositMetadataEntryInput', {
  description: 'A note of the exchange’s own. Since 0.1.',
  fields: (t) => ({
    key: t.string({ required: true, description: 'Its name.' }),
    value: t.string({ required: true, description: 'Its text.' }),
  }),
});

/** As it was stored: an object of texts. */
function entriesOf(metadata: JsonValue): MetadataEntry[] {
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) return [];
  return Object.entries(metadata)
    .map(([key, value]) => ({ key, value: String(value) }))
    .sort((left, right) => (left.key < right.key ? -1 : 1));
}

builder.node(DepositAccountRef, {
  description:
    'A memo and the customer’s account it stands for, for ever. With any treasury party of its network it makes a deposit address. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  id: { resolve: ({ id }) => id },
  loadManyWithoutCache: async (ids, { db }) => await readDepositAccounts(db, ids),
  fields: (t) => ({
    depositAccountId: t.exposeString('id', {
      description: 'Its id, `da_…`: a function of network and memo. Scope: `read`. Since 0.1.',
    }),
    network: t.exposeString('network', { description: 'Name of the Canton network. Scope: `read`. Since 0.1.' }),
    memo: t.exposeString('memo', {
      description: 'Opaque text, case-sensitive, 1 to 256 bytes of UTF-8. Scope: `read`. Since 0.1.',
    }),
    account: t.field({
      type: AccountRef,
      description: 'Whose deposits these are. Scope: `read`. Since 0.1.',
      resolve: ({ network, account }) => ({ network, owner: account }),
    }),
    addresses: t.loadableList({
      type: DepositAddressRef,
      description: 'One per treasury party of the network; any of them will do. Scope: `read`. Since 0.1.',
      load: async (keys: string[], { db }) => {
        const wanted = keys.map((key) => partsOfKey(key, ['network', 'memo'] as const));
        const treasuries = await readTreasuryPartiesOf(db, [...new Set(wanted.map(({ network }) => network))]);
        return wanted.map(({ network, memo }) =>
          treasuries.filter((treasury) => treasury.network === network).map((treasury) => ({ treasury, memo })),
        );
      },
      loaderOptions: { cache: false },
      resolve: ({ network, memo }) => ledgerKey(network, memo),
    }),
    state: t.expose('state', {
      type: DepositAccountStateEnum,
      description: 'How its deposits are treated. Scope: `read`. Since 0.1.',
    }),
    replacedBy: t.loadable({
      type: DepositAccountRef,
      nullable: true,
      description: 'The one to show in its place; null: none. Scope: `read`. Since 0.1.',
      load: async (ids: string[], { db }) => await readDepositAccounts(db, ids),
      loaderOptions: { cache: false },
      resolve: ({ replacedBy }) => replacedBy,
    }),
    metadata: t.field({
      type: [DepositMetadataEntryRef],
      description: 'What the exchange noted when it was registered, by key. Scope: `read`. Since 0.1.',
      resolve: ({ metadata }) => entriesOf(metadata),
    }),
    createdAt: t.expose('createdAt', {
      type: 'RecordTime',
      description: 'When it was registered, by our clock. Scope: `read`. Since 0.1.',
    }),
    createdBy: t.exposeString('createdBy', {
      description: 'Name of the principal who registered it. Scope: `read`. Since 0.1.',
    }),
  }),
});

builder.queryFields((t) => ({
  depositAccounts: t.connection(
    {
      type: DepositAccountRef,
      description: 'Deposit accounts, by id. Scope: `read`. Since 0.1.',
      authScopes: { read: true },
      args: {
        account: t.arg.string({ description: 'Only of this customer’s account.' }),
        memo: t.arg.string({ description: 'Only with this memo: at most one per network.' }),
      },
      resolve: async (_root, { account, memo, ...page }, { db, principal }) =>
        await connectionOf(
          { name: 'depositAccounts', key: 't' },
          page,
          async (request) =>
            isStorableText(account ?? '') && isStorableText(memo ?? '')
              ? await listDepositAccounts(
                  db,
                  principal.reach,
                  { account: account ?? null, memo: memo ?? null },
                  request,
                )
              : NO_ROWS,
          keyOfDepositAccount,
        ),
    },
    { name: 'DepositAccountConnection' },
    { name: 'DepositAccountEdge' },
  ),
}));

type CreateDepositAccountPayload = { readonly depositAccount: DepositAccount; readonly isReplayed: boolean };

const CreateDepositAccountPayloadRef = builder
  .objectRef<CreateDepositAccountPayload>('CreateDepositAccountPayload')
  .implement({
    description: 'The memo stands for the account. Scope: `deposits`. Since 0.1.',
    authScopes: { deposits: true },
    fields: (t) => ({
      depositAccount: t.field({
        type: DepositAccountRef,
        description: 'As it is registered. Scopes: `deposits` and `read`. Since 0.1.',
        resolve: ({ depositAccount }) => depositAccount,
      }),
      replayed: t.exposeBoolean('isReplayed', {
        description: 'True: it was registered before, and this call changed nothing. Scope: `deposits`. Since 0.1.',
      }),
    }),
  });

builder.objectType(MemoTakenError, {
  name: 'MemoTakenError',
  description: 'The memo already stands for another account. Code `MEMO_TAKEN`. Scope: `deposits`. Since 0.1.',
  authScopes: { deposits: true },
  interfaces: [ErrorInterface],
});

builder.objectType(DepositInputError, {
  name: 'DepositInputError',
  description:
    'The memo, the account or the metadata is no text we can take. Codes `MEMO_INVALID`, `ACCOUNT_INVALID`, `METADATA_INVALID`. Scope: `deposits`. Since 0.1.',
  authScopes: { deposits: true },
  interfaces: [ErrorInterface],
  fields: (t) => ({
    field: t.exposeString('field', { description: '`memo`, `account` or `metadata`. Scope: `deposits`. Since 0.1.' }),
  }),
});

builder.objectType(NetworkUnknownError, {
  name: 'NetworkUnknownError',
  description:
    'No such network here, or none named where there are several. Code `NETWORK_UNKNOWN`. Scope: `deposits`. Since 0.1.',
  authScopes: { deposits: true },
  interfaces: [ErrorInterface],
});

const CreateDepositAccountInput = builder.inputType('CreateDepositAccountInput', {
  description: 'Whose deposits, and by which memo. Since 0.1.',
  fields: (t) => ({
    network: t.string({ description: 'Name of the Canton network. Null: the only one served here.' }),
    account: t.string({
      required: true,
      description: 'The exchange’s own name for the customer’s account, 1 to 255 bytes.',
    }),
    memo: t.string({
      description:
        '1 to 256 bytes of UTF-8 without control characters, case-sensitive. Null: a new random one; then a repeated call makes another one, so bring your own memo to be safe to retry.',
    }),
    metadata: t.field({
      type: [DepositMetadataEntryInput],
      description: 'Notes of your own, by key; 4096 bytes together. A replay does not change them.',
    }),
  }),
});

builder.mutationField('createDepositAccount', (t) =>
  t.field({
    type: CreateDepositAccountPayloadRef,
    description:
      'Makes a memo stand for a customer’s account. The same memo and account again replays; a deposit that came before its memo was registered stays unattributed. Scopes: `deposits` and `read`. Since 0.1.',
    // Both: whoever may not read the answer would have registered a memo and been told that it was forbidden.
    authScopes: { $all: { deposits: true, read: true } },
    args: {
      input: t.arg({
        type: CreateDepositAccountInput,
        required: true,
        description: 'Whose deposits, and by which memo.',
      }),
    },
    errors: {
      types: [MemoTakenError, DepositInputError, NetworkUnknownError],
      union: {
        name: 'CreateDepositAccountResult',
        description: 'The deposit account, or why it was refused. Scope: `deposits`. Since 0.1.',
      },
    },
    resolve: async (_root, { input }, { depositAccounts, principal }) =>
      await depositAccounts.create({
        network: input.network ?? null,
        account: input.account,
        memo: input.memo ?? null,
        metadata:
          input.metadata == null ? null : Object.fromEntries(input.metadata.map(({ key, value }) => [key, value])),
        createdBy: principal.name,
      }),
  }),
);

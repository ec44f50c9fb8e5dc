/** The life of a transfer, and what proves it to others. */
import { isStorableText } from '../read/ledger-keys.ts';
import { type ProofOfTransfer, type ProofUpdate, readProofOfTransfer } from '../read/proof-of-transfer.ts';
import { readTransferLives, type TransferStep } from '../read/transfer-life.ts';
import { builder } from './builder.ts';
import { TransferRef } from './transfer-ref.ts';

const TransferStepKindEnum = builder.enumType('TransferStepKind', {
  description: 'What happened to a transfer. Since 0.1.',
  values: {
    OFFERED: { description: 'Its offer was made.' },
    REPLACED: { description: 'The registry put another contract in the place of its offer.' },
    ACCEPTED: { description: 'The receiver accepted the offer.' },
    REJECTED: { description: 'The receiver refused the offer.' },
    WITHDRAWN: { description: 'The sender took the offer back.' },
    EXPIRED: { description: 'The instrument’s admin ended the offer after its deadline.' },
    FAILED: { description: 'The offer ended in a way that moved nothing, or cannot be read.' },
    SETTLED: { description: 'The tokens moved.' },
    CREDITED: { description: 'It was credited to a customer: our decision, and not the ledger’s.' },
  } as const,
});

const TransferStepRef = builder.objectRef<TransferStep>('TransferStep').implement({
  description: 'A step in the life of a transfer. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    kind: t.expose('kind', { type: TransferStepKindEnum, description: 'What happened. Scope: `read`. Since 0.1.' }),
    recordTime: t.expose('recordTime', {
      type: 'RecordTime',
      description:
        'Record time of the update that shows it; of a credit, of the update it came from. Scope: `read`. Since 0.1.',
    }),
    updateId: t.exposeString('updateId', {
      nullable: true,
      description: 'Id of that update, see `explain`; null: it is none of the ledger’s. Scope: `read`. Since 0.1.',
    }),
    contractId: t.exposeString('contractId', {
      nullable: true,
      description: 'Contract id of the offer; null: none has to do with it. Scope: `read`. Since 0.1.',
    }),
  }),
});

builder.objectField(TransferRef, 'life', (t) =>
  t.loadableGroup({
    type: TransferStepRef,
    description: 'Everything that happened to it so far, oldest first. Scope: `read`. Since 0.1.',
    load: async (ids: string[], { db }) => await readTransferLives(db, ids),
    group: ({ transferId }: TransferStep) => transferId,
    loaderOptions: { cache: false },
    resolve: ({ id }) => id,
  }),
);

const ProofUpdateRef = builder.objectRef<ProofUpdate>('ProofUpdate').implement({
  description:
    'An update of the ledger that a transfer began or ended in. Every party to it finds it under the same id and record time on a participant of its own. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    updateId: t.exposeString('updateId', { description: 'Its id on the ledger. Scope: `read`. Since 0.1.' }),
    recordTime: t.expose('recordTime', {
      type: 'RecordTime',
      description: 'Record time: when the synchronizer recorded it. Scope: `read`. Since 0.1.',
    }),
    synchronizerId: t.exposeString('synchronizerId', {
      description: 'Which synchronizer. Scope: `read`. Since 0.1.',
    }),
    effectiveAt: t.expose('effectiveAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'The ledger’s own time in it; null: not told. Scope: `read`. Since 0.1.',
    }),
    externalTransactionHash: t.string({
      nullable: true,
      description:
        'Hash, in hex, of the transaction that an external party signed: who has the signature can check it against this. Null: not told. Scope: `read`. Since 0.1.',
      resolve: ({ externalTransactionHash: hash }) => (hash === null ? null : Buffer.from(hash).toString('hex')),
    }),
    createdHoldings: t.stringList({
      description: 'Contract ids of the holdings of the treasury party that it made. Scope: `read`. Since 0.1.',
      resolve: ({ createdHoldings }) => [...createdHoldings],
    }),
    archivedHoldings: t.stringList({
      description: 'Contract ids of the holdings of the treasury party that it spent. Scope: `read`. Since 0.1.',
      resolve: ({ archivedHoldings }) => [...archivedHoldings],
    }),
    sha256: t.string({
      description:
        'SHA-256, in hex, of the participant’s message as received (`GetUpdatesResponse` of Ledger API v2), with its events as the treasury party sees them. Scope: `read`. Since 0.1.',
      resolve: ({ sha256 }) => Buffer.from(sha256).toString('hex'),
    }),
    received: t.string({
      description:
        'That message, as base64: kept here also after the participant has pruned it. Scope: `read`. Since 0.1.',
      resolve: ({ bytes }) => Buffer.from(bytes).toString('base64'),
    }),
  }),
});

const ProofOfTransferRef = builder.objectRef<ProofOfTransfer>('ProofOfTransfer').implement({
  description:
    'What a counterparty or an auditor needs to see for himself that a transfer happened: the update to look up, the token standard’s Transfer record, the contracts, and the bytes. `sluice proof` prints the same as one document. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    transfer: t.field({
      type: TransferRef,
      description: 'Of what; its `transferObject` belongs to the proof. Scope: `read`. Since 0.1.',
      resolve: ({ transfer }) => transfer,
    }),
    isSettled: t.exposeBoolean('isSettled', {
      description:
        'True: the tokens moved, in the update named here. False: it proves an offer, or that one ended without a move. Scope: `read`. Since 0.1.',
    }),
    updateId: t.exposeString('updateId', {
      description:
        'The update to look up: where it settled, of a transfer in two steps the acceptance and not the offer. Scope: `read`. Since 0.1.',
    }),
    recordTime: t.expose('recordTime', {
      type: 'RecordTime',
      description: 'Record time of that update. Scope: `read`. Since 0.1.',
    }),
    synchronizerId: t.exposeString('synchronizerId', {
      description: 'Synchronizer of that update. Scope: `read`. Since 0.1.',
    }),
    updates: t.field({
      type: [ProofUpdateRef],
      description:
        'Where it began and where it ended, in the ledger’s order; one where that is the same. Scope: `read`. Since 0.1.',
      resolve: ({ updates }) => [...updates],
    }),
  }),
});

builder.queryField('proofOfTransfer', (t) =>
  t.field({
    type: ProofOfTransferRef,
    nullable: true,
    description:
      'The proof of a transfer; null where there is none with this id, or it is an opening balance, which no update shows. Scope: `read`. Since 0.1.',
    authScopes: { read: true },
    args: { transferId: t.arg.string({ required: true, description: '`tr_…`, as in events and exports.' }) },
    resolve: async (_root, { transferId }, { db }) =>
      isStorableText(transferId) ? await readProofOfTransfer(db, transferId) : null,
  }),
);

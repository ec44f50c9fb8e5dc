/** `explain`: what an update of the ledger did, in plain words. */
import { type Explanation, explainUpdate } from '../read/explanations.ts';
import { isStorableText } from '../read/ledger-keys.ts';
import { builder } from './builder.ts';
import { TransferRef } from './transfer-ref.ts';
import { TreasuryPartyRef } from './treasury-party-ref.ts';

const ExplanationRef = builder.objectRef<Explanation>('Explanation').implement({
  description:
    'What an update of the ledger did, as one treasury party saw it: for people who must answer a customer or an auditor. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    treasury: t.field({
      type: TreasuryPartyRef,
      description: 'Who saw it. Scope: `read`. Since 0.1.',
      resolve: ({ treasury }) => treasury,
    }),
    updateId: t.exposeString('updateId', { description: 'Its id on the ledger. Scope: `read`. Since 0.1.' }),
    recordTime: t.expose('recordTime', {
      type: 'RecordTime',
      description: 'Record time: when the synchronizer recorded it. Scope: `read`. Since 0.1.',
    }),
    synchronizerId: t.exposeString('synchronizerId', {
      description: 'Which synchronizer. Scope: `read`. Since 0.1.',
    }),
    offset: t.expose('offset', {
      type: 'BigInt',
      description:
        'Where the participant’s history has it; meaningful within its epoch alone. Scope: `read`. Since 0.1.',
    }),
    epoch: t.exposeInt('epoch', {
      description: 'Number of the stretch of history, see `IngestionStream.epochs`. Scope: `read`. Since 0.1.',
    }),
    transfers: t.field({
      type: [TransferRef],
      description: 'Transfers that began, went on or ended in it. Scope: `read`. Since 0.1.',
      resolve: ({ transfers }) => transfers.slice(),
    }),
    text: t.stringList({
      description:
        'Sentences in English, what follows after what it follows from; may change. Scope: `read`. Since 0.1.',
      resolve: ({ text }) => text.slice(),
    }),
  }),
});

builder.queryField('explain', (t) =>
  t.field({
    type: [ExplanationRef],
    description:
      'What an update did, once for each treasury party that saw it. Empty: none did, or it has not been read yet. Scope: `read`. Since 0.1.',
    authScopes: { read: true },
    args: { updateId: t.arg.string({ required: true, description: 'Id of the update on the ledger.' }) },
    resolve: async (_root, { updateId }, { db }) =>
      isStorableText(updateId) ? [...(await explainUpdate(db, updateId))] : [],
  }),
);

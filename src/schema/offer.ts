/** `Offer`: what others offer to us, and what is done about it. */

import { isStorableText } from '../read/ledger-keys.ts';
import { keyOfOffer, listOffers, type Offer, type OfferAction, readOffer } from '../read/offers.ts';
import { builder } from './builder.ts';
import { connectionOf } from './connection.ts';
import { InstrumentRef } from './instrument.ts';

const OfferActionStateEnum = builder.enumType('OfferActionState', {
  description: 'How far it is. Since 0.1.',
  values: {
    QUEUED: { description: 'Waits for its turn, for its budget, or for the wait after a try to be over.' },
    IN_FLIGHT: { description: 'An attempt is open: a signature may exist, and only the ledger ends it.' },
    PARKED: { description: 'Left alone until a person says otherwise. `reason` says why.' },
    DONE: { description: 'What was wanted has been seen on the ledger.' },
    ENDED: { description: 'Something else was: `reason` says what.' },
  } as const,
});

const OfferChoiceEnum = builder.enumType('OfferChoice', {
  description: 'What is wanted of an offer. Since 0.1.',
  values: {
    ACCEPT: { description: 'The deposit.' },
    REJECT: { description: 'That the sender has it back.' },
  } as const,
});

const OfferStatusEnum = builder.enumType('OfferStatus', {
  description: 'What the ledger made of an offer. Since 0.1.',
  values: {
    OPEN: { description: 'It stands.' },
    ACCEPTED: { description: 'The amount is ours.' },
    REJECTED: { description: 'We, or somebody with our rights, gave it back.' },
    WITHDRAWN: { description: 'The sender took it back.' },
    EXPIRED: { description: 'The instrument’s admin ended it after its deadline.' },
    REPLACED: { description: 'Another contract stands for it.' },
    FAILED: { description: 'It ended in a way that cannot be read.' },
  } as const,
});

const OfferActionRef = builder.objectRef<OfferAction>('OfferAction').implement({
  description: 'What is being done about an offer. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    choice: t.expose('choice', { type: OfferChoiceEnum, description: 'What is wanted. Scope: `read`. Since 0.1.' }),
    state: t.expose('state', { type: OfferActionStateEnum, description: 'How far it is. Scope: `read`. Since 0.1.' }),
    reason: t.exposeString('reason', {
      nullable: true,
      description:
        'Stable, for programs: why it is parked or ended, or what the last try came to, e.g. `BELOW_MINIMUM`, `PARKED_BY_PERSON`, `NOT_COMMITTED`, a code of custody or of the registry. Null: nothing to say. Scope: `read`. Since 0.1.',
    }),
    detail: t.exposeString('detail', {
      nullable: true,
      description: 'The same for people; may change. Scope: `read`. Since 0.1.',
    }),
    tries: t.exposeInt('tries', {
      description: 'Attempts that the offer itself made fail, since a person last looked. Scope: `read`. Since 0.1.',
    }),
    isParkRequested: t.exposeBoolean('isParkRequested', {
      description: 'It is parked as soon as nothing signed can commit any more. Scope: `read`. Since 0.1.',
    }),
    nextTryAt: t.expose('nextTryAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'Not before, by our clock; null: it does not wait for a turn. Scope: `read`. Since 0.1.',
    }),
    requestedBy: t.exposeString('requestedBy', {
      description: '`memo`, or the principal who asked. Scope: `read`. Since 0.1.',
    }),
    changedAt: t.expose('changedAt', {
      type: 'RecordTime',
      description: 'When any of this last changed, by our clock. Scope: `read`. Since 0.1.',
    }),
  }),
});

export const OfferRef = builder.objectRef<Offer>('Offer').implement({
  description:
    'An offer of a multi-step transfer to a treasury party. Those for known accounts are accepted by themselves; the money counts when the acceptance is seen. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    transferId: t.exposeString('transferId', {
      description:
        '`tr_…` of the transfer; it stays, whatever contract stands for the offer. Scope: `read`. Since 0.1.',
    }),
    contractId: t.exposeString('contractId', { description: 'Of this contract of it. Scope: `read`. Since 0.1.' }),
    treasuryParty: t.exposeString('treasuryParty', {
      description: 'Party id of whom it is made to. Scope: `read`. Since 0.1.',
    }),
    instrument: t.field({
      type: InstrumentRef,
      description: 'Of what. Scope: `read`. Since 0.1.',
      resolve: ({ instrument }) => instrument,
    }),
    amount: t.expose('amount', {
      type: 'Decimal',
      description: 'In units of the instrument. Scope: `read`. Since 0.1.',
    }),
    sender: t.exposeString('sender', { description: 'Party id of who offers. Scope: `read`. Since 0.1.' }),
    memo: t.exposeString('memo', {
      nullable: true,
      description: 'As the sender wrote it; null: none. Scope: `read`. Since 0.1.',
    }),
    account: t.exposeString('account', {
      nullable: true,
      description: 'The exchange’s own name of the customer’s account; null: nobody’s. Scope: `read`. Since 0.1.',
    }),
    status: t.expose('status', {
      type: OfferStatusEnum,
      description: 'What the ledger made of it. Scope: `read`. Since 0.1.',
    }),
    executeBefore: t.expose('executeBefore', {
      type: 'RecordTime',
      description: 'From this record time on it cannot be accepted. Scope: `read`. Since 0.1.',
    }),
    offeredAt: t.expose('offeredAt', {
      type: 'RecordTime',
      description: 'Record time of the update that showed it. Scope: `read`. Since 0.1.',
    }),
    action: t.field({
      type: OfferActionRef,
      nullable: true,
      description:
        'What is being done about it; null: nothing, as where it is for nobody we know. Scope: `read`. Since 0.1.',
      resolve: ({ action }) => action,
    }),
  }),
});

builder.queryFields((t) => ({
  offers: t.connection(
    {
      type: OfferRef,
      description: 'Offers to us, newest first. Scope: `read`. Since 0.1.',
      authScopes: { read: true },
      args: {
        isOpen: t.arg.boolean({ description: 'Only those that stand, or have ended.' }),
        states: t.arg({ type: [OfferActionStateEnum], description: 'Only where `action` is in one of these.' }),
      },
      resolve: async (_root, { isOpen, states, ...page }, { db }) => {
        const filter = { isOpen: isOpen ?? null, states: states ?? null };
        return await connectionOf(
          { name: 'offers', key: 'it' },
          page,
          async (request) => await listOffers(db, filter, request),
          keyOfOffer,
        );
      },
    },
    { name: 'OfferConnection' },
    { name: 'OfferEdge' },
  ),
  offer: t.field({
    type: OfferRef,
    nullable: true,
    description: 'One offer; null: there is none to us. Scope: `read`. Since 0.1.',
    authScopes: { read: true },
    args: { transferId: t.arg.string({ required: true, description: '`tr_…` of the offer.' }) },
    resolve: async (_root, { transferId }, { db }) =>
      isStorableText(transferId) ? await readOffer(db, transferId) : null,
  }),
}));

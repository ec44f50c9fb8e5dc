/** `WithdrawalOffer`: the offer by which a withdrawal is paid where its receiver has to accept. */
import { readOffersOf, type TakingBack, type WithdrawalOffer } from '../read/withdrawal-offers.ts';
import { builder } from './builder.ts';
import { WithdrawalRef } from './withdrawal.ts';

const WithdrawalOfferStatusEnum = builder.enumType('WithdrawalOfferStatus', {
  description: 'What the ledger made of an offer of ours. Since 0.1.',
  values: {
    OPEN: { description: 'It stands: the receiver may accept it until `executeBefore`.' },
    ACCEPTED: { description: 'The amount is the receiver’s.' },
    REJECTED: { description: 'The receiver gave it back.' },
    WITHDRAWN: { description: 'We took it back.' },
    EXPIRED: { description: 'The instrument’s admin ended it after its deadline.' },
    REPLACED: { description: 'Another contract stands for it, which has not been seen yet.' },
    FAILED: { description: 'It ended in a way that cannot be read: a person decides.' },
  } as const,
});

const OfferReturnReasonEnum = builder.enumType('OfferReturnReason', {
  description: 'Why an offer of ours is taken back. Since 0.1.',
  values: {
    CANCELLED: { description: 'Somebody asked for it.' },
    EXPIRED: { description: 'Nobody accepted it in time.' },
  } as const,
});

const OfferReturnStateEnum = builder.enumType('OfferReturnState', {
  description: 'How far the return of an offer is. Since 0.1.',
  values: {
    QUEUED: { description: 'Waits for its turn, or for the wait after a try to be over.' },
    IN_FLIGHT: { description: 'An attempt is open: a signature may exist, and only the ledger ends it.' },
    PARKED: { description: 'Left alone until a person says otherwise; `troubleCode` says why.' },
    DONE: { description: 'It is back, by what we did.' },
    ENDED: { description: 'Something else ended the offer.' },
  } as const,
});

const OfferReturnRef = builder.objectRef<TakingBack>('OfferReturn').implement({
  description: 'Taking an offer of ours back. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    reason: t.expose('reason', { type: OfferReturnReasonEnum, description: 'Why. Scope: `read`. Since 0.1.' }),
    state: t.expose('state', { type: OfferReturnStateEnum, description: 'How far it is. Scope: `read`. Since 0.1.' }),
    troubleCode: t.exposeString('troubleCode', {
      nullable: true,
      description:
        'What the last attempt came to, for programs; of a parked one, why it is. Null: no trouble. Scope: `read`. Since 0.1.',
    }),
    trouble: t.exposeString('trouble', {
      nullable: true,
      description: 'The same for people; may change. Scope: `read`. Since 0.1.',
    }),
    nextTryAt: t.expose('nextTryAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'When it is tried next, by our clock; null: it does not wait. Scope: `read`. Since 0.1.',
    }),
  }),
});

const WithdrawalOfferRef = builder.objectRef<WithdrawalOffer>('WithdrawalOffer').implement({
  description:
    'The offer by which a withdrawal is paid: the money is locked until the receiver accepts, or it comes back. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    contractId: t.exposeString('contractId', {
      description:
        'Of its contract, which the receiver’s wallet shows; of the newest one where its registry replaced the first. Scope: `read`. Since 0.1.',
    }),
    status: t.expose('status', {
      type: WithdrawalOfferStatusEnum,
      description: 'What the ledger made of it. Scope: `read`. Since 0.1.',
    }),
    offeredAt: t.expose('offeredAt', {
      type: 'RecordTime',
      description: 'Record time of the update that showed it first. Scope: `read`. Since 0.1.',
    }),
    executeBefore: t.expose('executeBefore', {
      type: 'RecordTime',
      description:
        'From this record time on it cannot be accepted. That alone ends nothing: it is taken back then, and its end is what is seen. Scope: `read`. Since 0.1.',
    }),
    returnFee: t.expose('returnFee', {
      type: 'Decimal',
      nullable: true,
      description:
        'What was kept from the customer of what came back, in units of the instrument; null: nothing has come back. Scope: `read`. Since 0.1.',
    }),
    takingBack: t.field({
      type: OfferReturnRef,
      nullable: true,
      description: 'What is being done to take it back; null: nothing. Scope: `read`. Since 0.1.',
      resolve: ({ takingBack }) => takingBack,
    }),
  }),
});

builder.objectField(WithdrawalRef, 'offer', (t) =>
  t.loadable({
    type: WithdrawalOfferRef,
    nullable: true,
    description:
      'The offer by which it is paid; null: none was seen, or derived tables are being rebuilt. Scope: `read`. Since 0.1.',
    load: async (ids: string[], { db }) => await readOffersOf(db, ids),
    loaderOptions: { cache: false },
    resolve: ({ id }) => id,
  }),
);

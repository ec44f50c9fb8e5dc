/** `TreasuryPreapproval`: whether deposits of an instrument arrive at a treasury party at once, and for how long. */
import { ledgerKey } from '../read/ledger-keys.ts';
import { readPreapprovals, type TreasuryPreapproval } from '../read/preapprovals.ts';
import { healthOf } from '../treasury/preapproval-health.ts';
import { builder } from './builder.ts';
import { partsOfKey } from './global-id.ts';
import { InstrumentRef } from './instrument.ts';
import { TREASURY_KEY_PARTS, TreasuryPartyRef } from './treasury-party-ref.ts';

const PreapprovalStateEnum = builder.enumType('PreapprovalState', {
  description: 'What is to be thought of a preapproval. Since 0.1.',
  values: {
    VALID: { description: 'Deposits arrive at once, and will go on to.' },
    EXPIRING: { description: 'It ends within 14 days, and its provider has not renewed it.' },
    EXPIRED: { description: 'It has ended: deposits come as offers, which have to be accepted.' },
    NONE: { description: 'There is none: deposits come as offers, which have to be accepted.' },
    UNKNOWN: { description: 'The participant was not asked, or did not answer, for an hour.' },
  } as const,
});

const PreapprovalRef = builder.objectRef<TreasuryPreapproval>('TreasuryPreapproval').implement({
  description:
    'The treasury’s own consent to be paid an instrument without acceptance, as its participant last showed it. The provider’s validator renews it. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    instrument: t.field({
      type: InstrumentRef,
      description: 'Of which instrument. Scope: `read`. Since 0.1.',
      resolve: ({ instrument }) => instrument,
    }),
    state: t.field({
      type: PreapprovalStateEnum,
      description: 'As of now. Scope: `read`. Since 0.1.',
      resolve: (preapproval, _arguments, { clock }) => healthOf(preapproval, clock.nowMicros()).state,
    }),
    alarm: t.string({
      nullable: true,
      description: 'What somebody should see to, in words; null: nothing. Scope: `read`. Since 0.1.',
      resolve: (preapproval, _arguments, { clock }) => healthOf(preapproval, clock.nowMicros()).alarm,
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'RecordTime',
      nullable: true,
      description:
        'When it ends by the ledger’s time, unless it is renewed; null: there is none. Scope: `read`. Since 0.1.',
    }),
    lastRenewedAt: t.expose('lastRenewedAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'When it was last renewed, by the ledger’s time; null: there is none. Scope: `read`. Since 0.1.',
    }),
    provider: t.exposeString('provider', {
      nullable: true,
      description: 'The party whose validator renews and pays for it; null: there is none. Scope: `read`. Since 0.1.',
    }),
    contractId: t.exposeString('contractId', {
      nullable: true,
      description: 'Of the contract; null: there is none. Scope: `read`. Since 0.1.',
    }),
    proposedTo: t.exposeString('proposalProvider', {
      nullable: true,
      description: 'The provider that an open proposal of ours waits for; null: none does. Scope: `read`. Since 0.1.',
    }),
    checkedAt: t.expose('checkedAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'When the participant last showed it, by our clock; null: never. Scope: `read`. Since 0.1.',
    }),
    trouble: t.exposeString('trouble', {
      nullable: true,
      description: 'Why it did not show it the last time; null: it did. Scope: `read`. Since 0.1.',
    }),
  }),
});

builder.objectField(TreasuryPartyRef, 'preapprovals', (t) =>
  t.loadableList({
    type: PreapprovalRef,
    description:
      'One per instrument that knows preapprovals: today Canton Coin, where the token directory has it. Scope: `read`. Since 0.1.',
    load: async (keys: string[], { db }) =>
      (
        await readPreapprovals(
          db,
          keys.map((key) => partsOfKey(key, TREASURY_KEY_PARTS)),
        )
      ).map((preapprovals) => [...preapprovals]),
    loaderOptions: { cache: false },
    resolve: ({ network, party }) => ledgerKey(network, party),
  }),
);

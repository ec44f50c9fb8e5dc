/** What people decide about an offer. Each decision is recorded with its principal and his reason. */
import { OFFER_REFUSAL_CODES, OfferRefusal } from '../deposits/acceptance/offer-refusal.ts';
import type { OfferRequests } from '../deposits/acceptance/offer-requests.ts';
import { isStorableText } from '../read/ledger-keys.ts';
import { type Offer, readOffer } from '../read/offers.ts';
import { builder } from './builder.ts';
import { ErrorInterface } from './error-interface.ts';
import { OfferRef } from './offer.ts';

builder.objectType(OfferRefusal, {
  name: 'OfferRefusal',
  description: `Nothing was changed. Codes ${OFFER_REFUSAL_CODES.map((code) => `\`${code}\``).join(', ')}. Scope: \`desk\`. Since 0.1.`,
  authScopes: { desk: true },
  interfaces: [ErrorInterface],
});

type OfferPayload = { readonly offer: Offer };

const OfferPayloadRef = builder.objectRef<OfferPayload>('OfferPayload').implement({
  description: 'It is recorded; what comes of it the offer tells. Scope: `desk`. Since 0.1.',
  authScopes: { desk: true },
  fields: (t) => ({
    offer: t.field({
      type: OfferRef,
      description: 'As it stands now. Scopes: `desk` and `read`. Since 0.1.',
      resolve: ({ offer }) => offer,
    }),
  }),
});

const OfferDecisionInput = builder.inputType('OfferDecisionInput', {
  description: 'Which offer, and why. Since 0.1.',
  fields: (t) => ({
    transferId: t.string({ required: true, description: '`tr_…` of the offer.' }),
    reason: t.string({ required: true, description: 'For those who come after; 1 to 1,000 bytes, kept for ever.' }),
  }),
});

function offerMutation(name: string, request: keyof OfferRequests, description: string): void {
  const result = `${name[0]?.toUpperCase()}${name.slice(1)}Result`;
  builder.mutationField(name, (t) =>
    t.field({
      type: OfferPayloadRef,
      description: `${description} Scopes: \`desk\` and \`read\`. Since 0.1.`,
      authScopes: { $all: { desk: true, read: true } },
      args: { input: t.arg({ type: OfferDecisionInput, required: true, description: 'Which, and why.' }) },
      errors: {
        types: [OfferRefusal],
        union: { name: result, description: 'The offer, or why nothing was changed. Scope: `desk`. Since 0.1.' },
      },
      resolve: async (_root, { input: { transferId, reason } }, { db, offers, principal }) => {
        if (!isStorableText(transferId)) throw new OfferRefusal('OFFER_NOT_OPEN');
        await offers[request]({ transferId, by: principal.name, why: reason });
        const offer = await readOffer(db, transferId);
        if (offer === null) throw new OfferRefusal('OFFER_NOT_OPEN');
        return { offer };
      },
    }),
  );
}

offerMutation(
  'acceptOffer',
  'requestAcceptance',
  'Accepts an offer whatever its amount. One that is for nobody still waits until its memo is registered or the desk has assigned it.',
);
offerMutation(
  'rejectOffer',
  'requestRejection',
  'Gives an offer back to its sender, in place of an acceptance that is not under way.',
);
offerMutation(
  'retryOfferNow',
  'retryNow',
  'Tries an offer at once, whatever it waits for and however often it was tried; a parked one goes on.',
);
offerMutation(
  'parkOffer',
  'park',
  'Leaves an offer alone from now on. One under way is parked when nothing signed can commit any more.',
);
offerMutation('unparkOffer', 'unpark', 'Puts a parked offer back in the queue.');

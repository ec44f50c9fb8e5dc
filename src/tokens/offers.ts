/** Offers of multi-step transfers that a transaction creates: those a party takes part in and the instrument's admin signed. */
import type { CreatedEvent, Event } from '../gen/com/daml/ledger/api/v2/event.ts';
import { type Anomaly, isSameInstrument, readableView } from './holding-changes.ts';
import type { Instrument } from './transfer-record.ts';
import { type InstructionView, instructionView, isSignedByAdmin } from './views.ts';

export type Offer = { readonly nodeId: number; readonly contractId: string; readonly view: InstructionView };

/** By contract id, in pre-order. */
export type Offers = ReadonlyMap<string, Offer>;

/** @throws DecodeError when a contract that the party signed has an offer's view that cannot be read. */
export function offersIn(events: readonly Event[], party: string, report: (anomaly: Anomaly) => void): Offers {
  return new Map(
    events.flatMap(({ event }) => {
      const offer = event?.$case === 'created' ? ownOffer(event.value, party, report) : undefined;
      return offer === undefined ? [] : [[offer.contractId, offer]];
    }),
  );
}

function ownOffer(event: CreatedEvent, party: string, report: (anomaly: Anomaly) => void): Offer | undefined {
  const view = readableView(event, party, instructionView, report);
  if (view === undefined || (view.transfer.sender !== party && view.transfer.receiver !== party)) return undefined;
  if (!isSignedByAdmin(event, view.transfer.instrument)) {
    report({ code: 'UNSIGNED_OFFER', contractId: event.contractId });
    return undefined;
  }
  return { nodeId: event.nodeId, contractId: event.contractId, view };
}

/**
 * The earlier offer whose transfer `offer` continues; `null`: it starts one. Any contract may name any other as its origin, and what it brings would
 * then be credited as the other's instrument to the other's memo. So the two must be of one instrument: then one admin has signed both.
 */
export function originOf(
  { nodeId, view }: Offer,
  offers: Offers,
  earlier: (contractId: string) => { readonly instrument: Instrument } | undefined,
): string | null {
  const original = view.originalInstruction;
  if (original === null) return null;
  const sibling = offers.get(original);
  const instrument =
    earlier(original)?.instrument ??
    (sibling !== undefined && sibling.nodeId < nodeId ? sibling.view.transfer.instrument : undefined);
  return instrument !== undefined && isSameInstrument(instrument, view.transfer.instrument) ? original : null;
}

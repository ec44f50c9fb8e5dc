import type { Scope, Template } from '../daml/template.ts';
import {
  type DamlRecord,
  decimal,
  decimalField,
  type Identifier,
  identifier,
  optional,
  optionalField,
  party,
  partyField,
  record,
  text,
  textField,
  time,
} from '../daml/value.ts';
import { packageId } from '../ledger/ids.ts';
import { requireThat } from './refusals.ts';
import {
  holdingInterface,
  holdingView,
  type InstrumentId,
  META,
  type Metadata,
  metaValues,
  type Transfer,
} from './standard.ts';

export const PACKAGE_NAME = 'acme-vault-notes';
export const PACKAGE_ID = packageId('acme-vault-notes-1.0.0');
export const NOTES = 'Acme.Vault.Notes';
export const DESK = 'Acme.Vault.Desk';

export const notes = (entity: string): Identifier => identifier(PACKAGE_ID, NOTES, entity);
export const desk = (entity: string): Identifier => identifier(PACKAGE_ID, DESK, entity);
export const issuerOf = (args: DamlRecord): string => partyField(args, 'issuer');

/** A holding; `heldUntil` set: it backs an offer. */
export const noteTemplate: Template = {
  templateId: notes('Note'),
  packageName: PACKAGE_NAME,
  signatories: (args) => [issuerOf(args), partyField(args, 'bearer')],
  observers: () => [],
  interfaces: [
    holdingInterface((args) => {
      const heldUntil = optionalField(args, 'heldUntil')?.sum;
      return holdingView({
        owner: partyField(args, 'bearer'),
        instrumentId: { admin: issuerOf(args), id: textField(args, 'series') },
        amountUnits: decimalField(args, 'face'),
        lock:
          heldUntil?.$case === 'timestamp'
            ? { holders: [issuerOf(args)], expiresAtMicros: heldUntil.value, context: 'backs a ticket' }
            : undefined,
        meta: metaValues({ 'acme.example/series': textField(args, 'series') }),
      });
    }),
  ],
  choices: {},
};

export function noteArguments(
  { admin, id }: InstrumentId,
  bearer: string,
  faceUnits: bigint,
  heldUntilMicros?: bigint,
): DamlRecord {
  return record(notes('Note'), {
    issuer: party(admin),
    series: text(id),
    bearer: party(bearer),
    face: decimal(faceUnits),
    heldUntil: optional(heldUntilMicros === undefined ? undefined : time(heldUntilMicros)),
  });
}

export function move(
  scope: Scope,
  transfer: Transfer,
  output: { readonly bearer: string; readonly heldUntilMicros?: bigint },
): { readonly outputCid: string; readonly changeCids: readonly string[] } {
  const { instrumentId, sender, amountUnits, inputHoldingCids } = transfer;
  const note = scope.template(PACKAGE_NAME, NOTES, 'Note');
  let sumUnits = 0n;
  for (const cid of inputHoldingCids) {
    const { createArguments } = scope.fetch(cid);
    requireThat(partyField(createArguments, 'bearer') === sender, 'a note is borne by the sender');
    requireThat(textField(createArguments, 'series') === instrumentId.id, 'a note is of the series');
    sumUnits += decimalField(createArguments, 'face');
    scope.archive(cid);
  }
  requireThat(sumUnits >= amountUnits, 'the notes cover the amount');
  // Change comes first here, unlike with Canton Coin: the order of outputs means nothing.
  const changeUnits = sumUnits - amountUnits;
  const changeCids = changeUnits > 0n ? [scope.create(note, noteArguments(instrumentId, sender, changeUnits))] : [];
  const outputCid = scope.create(note, noteArguments(instrumentId, output.bearer, amountUnits, output.heldUntilMicros));
  return { outputCid, changeCids };
}

export function transferMeta({ sender, receiver, meta }: Transfer): Metadata {
  return metaValues({
    [META.reason]: meta.get(META.reason),
    [META.sender]: sender,
    [META.txKind]: sender === receiver ? 'merge-split' : 'transfer',
  });
}

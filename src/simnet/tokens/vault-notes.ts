/**
 * A token that nobody has heard of: names, modules and choices of its own, the standard only through its interfaces and the metadata of its
 * results. What a reader makes of it shows whether it reads the standard or a list of known templates.
 */
import type { Contract } from '../daml/contract.ts';
import type { Package, Scope, Template } from '../daml/template.ts';
import {
  contractId,
  contractIdField,
  contractIdOf,
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
  recordField,
  recordOf,
  recordValue,
  text,
  textField,
  time,
  timeField,
  type Value,
} from '../daml/value.ts';
import { packageId } from '../ledger/ids.ts';
import { requireThat } from './refusals.ts';
import {
  contextCid,
  contextContractId,
  contextOf,
  factoryInterface,
  factoryView,
  holdingInterface,
  holdingView,
  type InstructionChoice,
  type InstrumentId,
  instructionInterface,
  instructionView,
  META,
  type Metadata,
  metadata,
  metaValues,
  TRANSFER_FACTORY,
  TRANSFER_INSTRUCTION,
  type Transfer,
  transferOf,
  transferRecord,
  transferResult,
} from './standard.ts';
import type { Token, TokenLedger } from './token.ts';

const PACKAGE_NAME = 'acme-vault-notes';
const PACKAGE_ID = packageId('acme-vault-notes-1.0.0');
const NOTES = 'Acme.Vault.Notes';
const DESK = 'Acme.Vault.Desk';

const notes = (entity: string): Identifier => identifier(PACKAGE_ID, NOTES, entity);
const desk = (entity: string): Identifier => identifier(PACKAGE_ID, DESK, entity);
const CONSENT_KEY = 'acme.example/standing-consent';

const issuerOf = (args: DamlRecord): string => partyField(args, 'issuer');

/** A holding; `heldUntil` set: it backs an offer. */
const noteTemplate: Template = {
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

function noteArguments(
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

function move(
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

function transferMeta({ sender, receiver, meta }: Transfer): Metadata {
  return metaValues({
    [META.reason]: meta.get(META.reason),
    [META.sender]: sender,
    [META.txKind]: sender === receiver ? 'merge-split' : 'transfer',
  });
}

const deskTemplate: Template = {
  templateId: desk('Desk'),
  packageName: PACKAGE_NAME,
  signatories: (args) => [issuerOf(args)],
  observers: () => [],
  interfaces: [factoryInterface((args) => factoryView(issuerOf(args)))],
  choices: {
    Desk_Issue: {
      consuming: false,
      controllers: ({ createArguments }, argument) => [issuerOf(createArguments), partyField(argument, 'bearer')],
      run: (scope, { createArguments }, argument) => {
        const instrument = { admin: issuerOf(createArguments), id: textField(argument, 'series') };
        const args = noteArguments(instrument, partyField(argument, 'bearer'), decimalField(argument, 'face'));
        const note = scope.create(scope.template(PACKAGE_NAME, NOTES, 'Note'), args);
        return recordValue(
          record(desk('Desk_IssueResult'), {
            note: contractId(note),
            meta: metadata(metaValues({ [META.txKind]: 'mint' })),
          }),
        );
      },
    },
    TransferFactory_Transfer: {
      interfaceId: TRANSFER_FACTORY,
      consuming: false,
      controllers: (_contract, argument) => [partyField(recordField(argument, 'transfer'), 'sender')],
      run: startTransfer,
    },
  },
};

function startTransfer(scope: Scope, { createArguments }: Contract, argument: DamlRecord): Value {
  const transfer = transferOf(recordField(argument, 'transfer'));
  requireThat(transfer.instrumentId.admin === issuerOf(createArguments), 'the admin is the issuer');
  requireThat(transfer.amountUnits > 0n && transfer.inputHoldingCids.length > 0, 'there is something to transfer');
  scope.requireAtOrAfter(transfer.requestedAtMicros, 'transfer.requestedAt');
  scope.requireBefore(transfer.executeBeforeMicros, 'transfer.executeBefore');
  if (transfer.sender === transfer.receiver) {
    const { outputCid, changeCids } = move(scope, transfer, { bearer: transfer.sender });
    return transferResult({ kind: 'completed', receiverHoldingCids: [outputCid] }, changeCids, transferMeta(transfer));
  }
  const consent = contextContractId(contextOf(argument), CONSENT_KEY);
  if (consent !== undefined) {
    const deliver = record(desk('StandingConsent_Deliver'), { transfer: transferRecord(transfer) });
    const result = recordOf(scope.exercise(consent, 'StandingConsent_Deliver', deliver));
    const changeCid = optionalField(result, 'change');
    const receiverHoldingCids = [contractIdField(result, 'note')];
    const changeCids = changeCid === undefined ? [] : [contractIdOf(changeCid)];
    return transferResult({ kind: 'completed', receiverHoldingCids }, changeCids, new Map());
  }
  const { sender, executeBeforeMicros } = transfer;
  const { outputCid, changeCids } = move(scope, transfer, { bearer: sender, heldUntilMicros: executeBeforeMicros });
  const ticket = record(desk('Ticket'), {
    transfer: transferRecord({ ...transfer, inputHoldingCids: [outputCid] }),
    printedAt: time(scope.ledgerTimeMicros),
  });
  const instructionCid = scope.create(scope.template(PACKAGE_NAME, DESK, 'Ticket'), ticket);
  return transferResult({ kind: 'pending', instructionCid }, changeCids, new Map());
}

/** Gives the receiver's authority to deliveries; what the receiver sees of a direct transfer starts here. */
const consentTemplate: Template = {
  templateId: desk('StandingConsent'),
  packageName: PACKAGE_NAME,
  signatories: (args) => [issuerOf(args), partyField(args, 'receiver')],
  observers: () => [],
  interfaces: [],
  choices: {
    StandingConsent_Deliver: {
      consuming: false,
      controllers: (_contract, argument) => [partyField(recordField(argument, 'transfer'), 'sender')],
      run: (scope, _contract, argument) => {
        const transfer = transferOf(recordField(argument, 'transfer'));
        const { outputCid, changeCids } = move(scope, transfer, { bearer: transfer.receiver });
        const [change] = changeCids;
        return recordValue(
          record(desk('StandingConsent_DeliverResult'), {
            note: contractId(outputCid),
            change: optional(change === undefined ? undefined : contractId(change)),
            meta: metadata(transferMeta(transfer)),
          }),
        );
      },
    },
  },
};

const ticketTransfer = ({ createArguments }: Contract): Transfer =>
  transferOf(recordField(createArguments, 'transfer'));

function endTicket(choice: InstructionChoice, controller: (transfer: Transfer) => string): Template['choices'] {
  return {
    [`TransferInstruction_${choice}`]: {
      interfaceId: TRANSFER_INSTRUCTION,
      consuming: true,
      controllers: (contract) => [controller(ticketTransfer(contract))],
      run: (scope, contract) => {
        const transfer = ticketTransfer(contract);
        if (choice === 'Accept') {
          scope.requireBefore(transfer.executeBeforeMicros, 'transfer.executeBefore');
          requireThat(
            timeField(contract.createArguments, 'printedAt') <= scope.ledgerTimeMicros,
            'the ticket is printed',
          );
          const { outputCid, changeCids } = move(scope, transfer, { bearer: transfer.receiver });
          return transferResult(
            { kind: 'completed', receiverHoldingCids: [outputCid] },
            changeCids,
            transferMeta(transfer),
          );
        }
        if (choice === 'Update') scope.requireAtOrAfter(transfer.executeBeforeMicros, 'transfer.executeBefore');
        const { outputCid } = move(scope, transfer, { bearer: transfer.sender });
        return transferResult({ kind: 'failed' }, [outputCid], new Map());
      },
    },
  };
}

const ticketTemplate: Template = {
  templateId: desk('Ticket'),
  packageName: PACKAGE_NAME,
  signatories: (args) => {
    const { sender, instrumentId } = transferOf(recordField(args, 'transfer'));
    return [instrumentId.admin, sender];
  },
  observers: (args) => [partyField(recordField(args, 'transfer'), 'receiver')],
  interfaces: [instructionInterface((args) => instructionView(recordValue(recordField(args, 'transfer'))))],
  choices: {
    ...endTicket('Accept', ({ receiver }) => receiver),
    ...endTicket('Reject', ({ receiver }) => receiver),
    ...endTicket('Withdraw', ({ sender }) => sender),
    ...endTicket('Update', ({ instrumentId }) => instrumentId.admin),
  },
};

const VAULT_PACKAGES: readonly Package[] = [
  {
    packageName: PACKAGE_NAME,
    packageId: PACKAGE_ID,
    interfaces: [],
    templates: [noteTemplate, deskTemplate, consentTemplate, ticketTemplate],
  },
];

export function createVaultToken({
  name,
  instrumentId,
}: {
  readonly name: string;
  readonly instrumentId: InstrumentId;
}): Token {
  const { admin, id } = instrumentId;
  const consents = new Map<string, string>();
  let deskCid = '';
  const create = (
    ledger: TokenLedger,
    template: Template,
    createArguments: DamlRecord,
    actAs: readonly string[],
  ): string => {
    const [created] = ledger.submit({ commands: [{ kind: 'create', template, createArguments }], actAs }, 'new');
    return created === undefined ? '' : contractIdOf(created);
  };
  return {
    name,
    instrumentId,
    packages: VAULT_PACKAGES,
    install: (ledger) => {
      deskCid = create(ledger, deskTemplate, record(desk('Desk'), { issuer: party(admin) }), [admin]);
    },
    preapprove: (ledger, receiver) => {
      const args = record(desk('StandingConsent'), { issuer: party(admin), receiver: party(receiver) });
      consents.set(receiver, create(ledger, consentTemplate, args, [admin, receiver]));
    },
    planTransfer: ({ sender, receiver }, { asOffer }) => {
      const consent = asOffer ? undefined : consents.get(receiver);
      if (sender === receiver) return { kind: 'self', factoryCid: deskCid, context: new Map() };
      if (consent === undefined) return { kind: 'offer', factoryCid: deskCid, context: new Map() };
      return { kind: 'direct', factoryCid: deskCid, context: new Map([[CONSENT_KEY, contextCid(consent)]]) };
    },
    instructionContext: () => new Map(),
    mint: (_ledger, owner, amountUnits) => ({
      commands: [
        {
          kind: 'exercise',
          contractId: deskCid,
          choice: 'Desk_Issue',
          argument: record(desk('Desk_Issue'), { series: text(id), bearer: party(owner), face: decimal(amountUnits) }),
        },
      ],
      actAs: [admin, owner],
    }),
  };
}

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
  type Value,
} from '../daml/value.ts';
import { requireThat } from './refusals.ts';
import {
  contextCid,
  contextContractId,
  contextOf,
  factoryInterface,
  factoryView,
  type InstrumentId,
  META,
  metadata,
  metaValues,
  TRANSFER_FACTORY,
  transferOf,
  transferRecord,
  transferResult,
} from './standard.ts';
import type { Token, TokenLedger } from './token.ts';

import {
  desk,
  issuerOf,
  move,
  NOTES,
  noteArguments,
  noteTemplate,
  PACKAGE_ID,
  PACKAGE_NAME,
  transferMeta,
} from './vault-notes.ts';
import { printTicket, ticketTemplate } from './vault-tickets.ts';

const CONSENT_KEY = 'acme.example/standing-consent';

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
  const offered = { ...transfer, inputHoldingCids: [outputCid] };
  const instructionCid = printTicket(scope, offered, { originalCid: undefined, pendingActions: new Map() });
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
    reportOutcome: (instructionCid, isSuccess) => ({
      commands: [
        {
          kind: 'exercise',
          contractId: instructionCid,
          choice: 'Ticket_ReportOutcome',
          argument: record(desk('Ticket_ReportOutcome'), { success: { sum: { $case: 'bool', value: isSuccess } } }),
        },
      ],
      actAs: [admin],
    }),
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

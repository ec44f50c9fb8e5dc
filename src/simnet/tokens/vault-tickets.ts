/**
 * The vault's offers. A ticket ends with its acceptance, or goes on after it: as another ticket that names the first one, until the desk says by
 * a choice of its own what came of it.
 */
import type { Contract } from '../daml/contract.ts';
import type { Scope, Template } from '../daml/template.ts';
import {
  contractId,
  contractIdOf,
  type DamlRecord,
  optional,
  optionalField,
  partyField,
  record,
  recordField,
  recordValue,
  text,
  time,
  timeField,
  type Value,
  valueField,
} from '../daml/value.ts';
import { requireThat } from './refusals.ts';
import {
  type InstructionChoice,
  type InstructionProgress,
  instructionInterface,
  instructionView,
  metaValues,
  TRANSFER_INSTRUCTION,
  type Transfer,
  transferOf,
  transferRecord,
  transferResult,
} from './standard.ts';

import { DESK, desk, move, PACKAGE_NAME, transferMeta } from './vault-notes.ts';

/** Metadata of a transfer: `desk` makes its acceptance one step of several. */
export const WORKFLOW_KEY = 'acme.example/workflow';
export function printTicket(
  scope: Scope,
  transfer: Transfer,
  { originalCid, pendingActions }: InstructionProgress,
): string {
  const [step] = pendingActions.values();
  const ticket = record(desk('Ticket'), {
    transfer: transferRecord(transfer),
    printedAt: time(scope.ledgerTimeMicros),
    original: optional(originalCid === undefined ? undefined : contractId(originalCid)),
    deskStep: optional(step === undefined ? undefined : text(step)),
  });
  return scope.create(scope.template(PACKAGE_NAME, DESK, 'Ticket'), ticket);
}

/** A ticket that waits for the desk instead of the receiver has come at least one step. */
function progressOf(args: DamlRecord): InstructionProgress {
  const { instrumentId } = transferOf(recordField(args, 'transfer'));
  const original = optionalField(args, 'original');
  const step = optionalField(args, 'deskStep')?.sum;
  return {
    originalCid: original === undefined ? undefined : contractIdOf(original),
    pendingActions: new Map(step?.$case === 'text' ? [[instrumentId.admin, step.value]] : []),
  };
}

/** From then on the receiver has signed it: the desk alone can give him the notes. */
const isAccepted = (args: DamlRecord): boolean => progressOf(args).pendingActions.size > 0;

/** Replaces the ticket by one that continues it. */
function continueTicket(
  scope: Scope,
  { contractId: cid, createArguments }: Contract,
  deskStep: string | undefined,
): Value {
  const { originalCid = cid } = progressOf(createArguments);
  const transfer = transferOf(recordField(createArguments, 'transfer'));
  const pendingActions = new Map(deskStep === undefined ? [] : [[transfer.instrumentId.admin, deskStep] as const]);
  const instructionCid = printTicket(scope, transfer, { originalCid, pendingActions });
  return transferResult({ kind: 'pending', instructionCid }, [], new Map());
}

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
            progressOf(contract.createArguments).pendingActions.size === 0,
            'the ticket waits for acceptance',
          );
          if (transfer.meta.get(WORKFLOW_KEY) === 'desk') return continueTicket(scope, contract, 'report the outcome');
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
        // Before the deadline the desk may look at it and print it anew; after it, the ticket is void.
        if (choice === 'Update' && scope.ledgerTimeMicros < transfer.executeBeforeMicros)
          return continueTicket(scope, contract, undefined);
        const { outputCid } = move(scope, transfer, { bearer: transfer.sender });
        return transferResult({ kind: 'failed' }, [outputCid], new Map());
      },
    },
  };
}

/** The desk ends a ticket that the receiver has accepted, by a choice that the standard does not know. */
function reportOutcome(scope: Scope, contract: Contract, argument: DamlRecord): Value {
  const transfer = ticketTransfer(contract);
  requireThat(progressOf(contract.createArguments).pendingActions.size > 0, 'the ticket waits for the desk');
  const isSuccess = valueField(argument, 'success').sum?.value === true;
  const { outputCid } = move(scope, transfer, { bearer: isSuccess ? transfer.receiver : transfer.sender });
  const meta = isSuccess ? transferMeta(transfer) : metaValues({ 'acme.example/outcome': 'refused by the desk' });
  return transferResult(
    isSuccess ? { kind: 'completed', receiverHoldingCids: [outputCid] } : { kind: 'failed' },
    isSuccess ? [] : [outputCid],
    meta,
  );
}

export const ticketTemplate: Template = {
  templateId: desk('Ticket'),
  packageName: PACKAGE_NAME,
  signatories: (args) => {
    const { sender, receiver, instrumentId } = transferOf(recordField(args, 'transfer'));
    return isAccepted(args) ? [instrumentId.admin, sender, receiver] : [instrumentId.admin, sender];
  },
  observers: (args) => (isAccepted(args) ? [] : [partyField(recordField(args, 'transfer'), 'receiver')]),
  interfaces: [
    instructionInterface((args) => instructionView(recordValue(recordField(args, 'transfer')), progressOf(args))),
  ],
  choices: {
    Ticket_ReportOutcome: {
      consuming: true,
      controllers: (contract) => [ticketTransfer(contract).instrumentId.admin],
      run: reportOutcome,
    },
    ...endTicket('Accept', ({ receiver }) => receiver),
    ...endTicket('Reject', ({ receiver }) => receiver),
    ...endTicket('Withdraw', ({ sender }) => sender),
    ...endTicket('Update', ({ instrumentId }) => instrumentId.admin),
  },
};

/**
 * Canton Coin's TransferFactory (ExternalPartyAmuletRules) and TransferPreapproval: how a transfer starts, and how it ends at once where
 * the receiver has said yes beforehand. Checks and their order follow the published package.
 */

import { shownDecimal } from '../daml/decimal.ts';
import type { Scope, Template } from '../daml/template.ts';
import {
  contractId,
  contractIdField,
  type DamlRecord,
  decimal,
  decimalField,
  type Identifier,
  optional,
  optionalField,
  party,
  partyField,
  record,
  recordField,
  recordOf,
  recordValue,
  text,
  time,
  timeField,
  unit,
  type Value,
} from '../daml/value.ts';
import { AMULET_ID, amuletTemplate, amuletType, type Generation, optionalMetadata } from './amulet-contracts.ts';
import {
  type AmuletContext,
  amuletContextOf,
  type Moved,
  type Movement,
  moveAndReport,
  resolveInputs,
} from './amulet-movements.ts';
import { createOffer } from './amulet-offers.ts';
import {
  AMULET_RULES_MODULE,
  inputCidsOf,
  moveByRules,
  rulesTransferResult,
  transferContext,
  transferInputs,
} from './amulet-rules.ts';
import { requireThat } from './refusals.ts';
import {
  contextContractId,
  contextOf,
  factoryInterface,
  factoryView,
  META,
  type Metadata,
  metadata,
  metadataOf,
  metaValues,
  TRANSFER_FACTORY,
  type Transfer,
  transferOf,
  transferResult,
} from './standard.ts';

/** 90 days, in microseconds: `tokenStandardMaxTTL`. */
const OFFER_TTL_MAX_MICROS = 90n * 24n * 3_600n * 1_000_000n;

export const FACTORY_MODULE = 'Splice.ExternalPartyAmuletRules';

export function factoryArguments(generation: Generation, dso: string): DamlRecord {
  return record(amuletType(generation, FACTORY_MODULE, 'ExternalPartyAmuletRules'), { dso: party(dso) });
}

export function preapprovalArguments(
  generation: Generation,
  fields: {
    readonly dso: string;
    readonly receiver: string;
    readonly provider: string;
    readonly validFromMicros: bigint;
    readonly expiresAtMicros: bigint;
  },
): DamlRecord {
  return record(amuletType(generation, AMULET_RULES_MODULE, 'TransferPreapproval'), {
    dso: party(fields.dso),
    receiver: party(fields.receiver),
    provider: party(fields.provider),
    validFrom: time(fields.validFromMicros),
    lastRenewedAt: time(fields.validFromMicros),
    expiresAt: time(fields.expiresAtMicros),
  });
}

export function factoryTemplate(generation: Generation): Template {
  return amuletTemplate(generation, FACTORY_MODULE, 'ExternalPartyAmuletRules', {
    signatories: (args) => [partyField(args, 'dso')],
    interfaces: [factoryInterface((args) => factoryView(partyField(args, 'dso')))],
    choices: {
      TransferFactory_Transfer: {
        interfaceId: TRANSFER_FACTORY,
        consuming: false,
        controllers: (_contract, argument) => [partyField(recordField(argument, 'transfer'), 'sender')],
        run: (scope, { createArguments }, argument) =>
          startTransfer(scope, generation, partyField(createArguments, 'dso'), argument),
      },
    },
  });
}

function startTransfer(scope: Scope, generation: Generation, dso: string, argument: DamlRecord): Value {
  const transfer = transferOf(recordField(argument, 'transfer'));
  const values = contextOf(argument);
  const context = amuletContextOf(values);
  checkTransfer(scope, generation, dso, partyField(argument, 'expectedAdmin'), transfer);
  if (transfer.sender === transfer.receiver) return mergeSplit(scope, generation, dso, context, transfer);
  const preapproval = contextContractId(values, 'transfer-preapproval');
  if (preapproval === undefined) return createOffer(scope, generation, dso, context, transfer);
  return send(scope, generation, preapproval, context, transfer);
}

function checkTransfer(
  scope: Scope,
  generation: Generation,
  dso: string,
  expectedAdmin: string,
  transfer: Transfer,
): void {
  const { instrumentId, amountUnits, requestedAtMicros, executeBeforeMicros } = transfer;
  requireThat(expectedAdmin === dso, 'the expected admin is the DSO');
  requireThat(instrumentId.admin === dso && instrumentId.id === AMULET_ID, 'the instrument is Amulet of the DSO');
  requireThat(amountUnits > 0n, 'the amount is positive');
  scope.requireAtOrAfter(requestedAtMicros, 'transfer.requestedAt');
  scope.requireBefore(executeBeforeMicros, 'transfer.executeBefore');
  const isShort = executeBeforeMicros - requestedAtMicros <= OFFER_TTL_MAX_MICROS;
  if (generation === 'new') requireThat(isShort, 'executeBefore is within tokenStandardMaxTTL of requestedAt');
}

function movementOf(dso: string, transfer: Transfer, inputCids: readonly string[]): Movement {
  const { sender, receiver, amountUnits, meta } = transfer;
  return { dso, sender, receiver, amountUnits, inputCids, lock: undefined, meta };
}

function mergeSplit(
  scope: Scope,
  generation: Generation,
  dso: string,
  context: AmuletContext,
  transfer: Transfer,
): Value {
  scope.fetch(generation === 'old' ? context.openRound : context.configState);
  const movement = movementOf(dso, transfer, resolveInputs(scope, generation, transfer));
  const moved =
    generation === 'old'
      ? moveByRules(scope, context, movement).moved
      : moveAndReport(scope, context.configState, movement);
  const meta = metaValues({
    [META.reason]: transfer.meta.get(META.reason),
    [META.txKind]: generation === 'old' ? undefined : 'merge-split',
  });
  return completed(moved, meta);
}

function completed({ outputCid, changeCid }: Pick<Moved, 'outputCid' | 'changeCid'>, meta: Metadata): Value {
  return transferResult(
    { kind: 'completed', receiverHoldingCids: [outputCid] },
    changeCid === undefined ? [] : [changeCid],
    meta,
  );
}

/** The factory's part of a direct transfer: the rest happens on the receiver's preapproval, which is what the receiver sees. */
function send(
  scope: Scope,
  generation: Generation,
  preapproval: string,
  context: AmuletContext,
  transfer: Transfer,
): Value {
  scope.fetch(preapproval);
  scope.fetch(generation === 'old' ? context.openRound : context.configState);
  if (generation === 'new') scope.fetch(context.configState);
  const inputCids = resolveInputs(scope, generation, transfer);
  const choice = generation === 'old' ? 'TransferPreapproval_Send' : 'TransferPreapproval_SendV2';
  const argument = sendArgument(generation, context, { ...transfer, inputHoldingCids: inputCids });
  const result = recordOf(scope.exercise(preapproval, choice, argument));
  const inner = recordField(result, 'result');
  const changeCid = optionalField(inner, 'senderChangeAmulet')?.sum;
  const meta = result.fields.find(({ label }) => label === 'meta')?.value?.sum;
  const values = meta?.$case === 'optional' ? meta.value.value : meta && { sum: meta };
  const burned = values && metadataOf(recordOf(values)).get(META.burned);
  return completed(
    {
      outputCid: createdIn(inner),
      changeCid: changeCid?.$case === 'contractId' ? changeCid.value : undefined,
    },
    metaValues({ [META.burned]: burned }),
  );
}

function createdIn(result: DamlRecord): string {
  const list = result.fields.find(({ label }) => label === 'createdAmulets')?.value?.sum;
  const first = list?.$case === 'list' ? list.value.elements[0]?.sum : undefined;
  const inner = first?.$case === 'variant' ? first.value.value?.sum : undefined;
  requireThat(inner?.$case === 'contractId', 'the transfer made its output');
  return inner?.$case === 'contractId' ? inner.value : '';
}

function sendArgument(generation: Generation, context: AmuletContext, transfer: Transfer): DamlRecord {
  const type = (entity: string): Identifier => amuletType(generation, AMULET_RULES_MODULE, entity);
  const reason = transfer.meta.get(META.reason);
  const paymentContext = record(type('PaymentTransferContext'), {
    amuletRules: contractId(context.amuletRules),
    context: transferContext(generation, context.openRound),
  });
  const common = {
    inputs: transferInputs(generation, transfer.inputHoldingCids),
    amount: decimal(transfer.amountUnits),
    sender: party(transfer.sender),
    description: optional(reason === undefined ? undefined : text(reason)),
  };
  if (generation === 'old') {
    return record(type('TransferPreapproval_Send'), { context: recordValue(paymentContext), ...common });
  }
  const newContext = record(type('TransferPreapproval_SendV2Context'), {
    externalPartyConfigState: contractId(context.configState),
    featuredAppRight: optional(undefined),
  });
  return record(type('TransferPreapproval_SendV2'), {
    context: recordValue(newContext),
    ...common,
    meta: optional(metadata(transfer.meta)),
  });
}

export function preapprovalTemplate(generation: Generation): Template {
  return amuletTemplate(generation, AMULET_RULES_MODULE, 'TransferPreapproval', {
    signatories: (args) => [partyField(args, 'receiver'), partyField(args, 'provider'), partyField(args, 'dso')],
    choices: {
      TransferPreapproval_Send: {
        consuming: false,
        controllers: (_contract, argument) => [partyField(argument, 'sender')],
        run: (scope, { createArguments }, argument) => {
          const context = recordField(argument, 'context');
          const openRound = contractIdField(recordField(context, 'context'), 'openMiningRound');
          const movement = receive(scope, createArguments, argument);
          const amuletContext = { amuletRules: contractIdField(context, 'amuletRules'), openRound, configState: '' };
          const { moved, result } = moveByRules(scope, amuletContext, movement);
          return sendResult(generation, { movement, moved, result, argument });
        },
      },
      TransferPreapproval_Cancel: {
        consuming: true,
        controllers: (_contract, argument) => [partyField(argument, 'p')],
        run: () => unit(),
      },
      ...(generation === 'old'
        ? {}
        : {
            TransferPreapproval_SendV2: {
              consuming: false,
              controllers: (_contract, argument) => [partyField(argument, 'sender')],
              run: (scope, { createArguments }, argument) => {
                const configState = contractIdField(recordField(argument, 'context'), 'externalPartyConfigState');
                scope.fetch(configState);
                const movement = receive(scope, createArguments, argument);
                const moved = moveAndReport(scope, configState, movement);
                const result = rulesTransferResult(generation, movement, moved, undefined);
                return sendResult(generation, { movement, moved, result, argument });
              },
            },
          }),
    },
  });
}

function receive(scope: Scope, preapproval: DamlRecord, argument: DamlRecord): Movement {
  scope.requireBefore(timeField(preapproval, 'expiresAt'), 'TransferPreapproval.expiresAt');
  const meta = optionalField(argument, 'meta');
  return {
    dso: partyField(preapproval, 'dso'),
    sender: partyField(argument, 'sender'),
    receiver: partyField(preapproval, 'receiver'),
    inputCids: inputCidsOf(argument),
    amountUnits: decimalField(argument, 'amount'),
    lock: undefined,
    meta: meta === undefined ? new Map() : metadataOf(recordOf(meta)),
  };
}

function sendResult(
  generation: Generation,
  { movement, moved, result, argument }: { movement: Movement; moved: Moved; result: DamlRecord; argument: DamlRecord },
): Value {
  const description = optionalField(argument, 'description')?.sum;
  const meta = metaValues({
    [META.burned]: moved.burnedUnits > 0n ? shownDecimal(moved.burnedUnits) : undefined,
    [META.reason]: description?.$case === 'text' ? description.value : undefined,
    [META.sender]: movement.sender,
    [META.txKind]: 'transfer',
  });
  const entity = generation === 'old' ? 'TransferPreapproval_SendResult' : 'TransferPreapproval_SendV2Result';
  return recordValue(
    record(amuletType(generation, AMULET_RULES_MODULE, entity), {
      result: recordValue(result),
      meta: optionalMetadata(generation, meta),
    }),
  );
}

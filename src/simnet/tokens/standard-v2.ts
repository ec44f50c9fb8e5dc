/**
 * The second version of the token standard (CIP-112) as Canton Coin's newer package implements it beside the first: the same contracts, seen
 * once more through interfaces in which holdings belong to accounts.
 */
import type { Choice, InterfaceImplementation, Package } from '../daml/template.ts';
import {
  type DamlRecord,
  type Identifier,
  identifier,
  list,
  optional,
  partiesField,
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
  valueField,
  variant,
} from '../daml/value.ts';
import {
  type ChoiceContext,
  contextOf,
  extraArgs,
  type InstructionChoice,
  instructionArgument,
  metadata,
} from './standard.ts';

const HOLDING_PACKAGE = '4b7ecfc366d79ccc5ed07c80f26fe489cf2dfd43ce2856c06a78e6a048db7032';
const TRANSFER_PACKAGE = '29317e3b7b165d2bbf16721bcca0ec4869e53eddb2738bddf790d61af28e0099';
const HOLDING_MODULE = 'Splice.Api.Token.HoldingV2';
const TRANSFER_MODULE = 'Splice.Api.Token.TransferInstructionV2';

const holdingType = (entity: string): Identifier => identifier(HOLDING_PACKAGE, HOLDING_MODULE, entity);
const transferType = (entity: string): Identifier => identifier(TRANSFER_PACKAGE, TRANSFER_MODULE, entity);

export const HOLDING_V2: Identifier = holdingType('Holding');
export const TRANSFER_INSTRUCTION_V2: Identifier = transferType('TransferInstruction');

/** Known to nodes that also run the newer Canton Coin package. */
export const STANDARD_V2_PACKAGES: readonly Package[] = [
  {
    packageName: 'splice-api-token-holding-v2',
    packageId: HOLDING_PACKAGE,
    interfaces: [`${HOLDING_MODULE}:Holding`],
    templates: [],
  },
  {
    packageName: 'splice-api-token-transfer-instruction-v2',
    packageId: TRANSFER_PACKAGE,
    interfaces: [`${TRANSFER_MODULE}:TransferFactory`, `${TRANSFER_MODULE}:TransferInstruction`],
    templates: [],
  },
];

/** @param viewV1 of the same contract. */
export const holdingInterfaceV2 = (viewV1: (args: DamlRecord) => DamlRecord): InterfaceImplementation => ({
  interfaceId: HOLDING_V2,
  view: (args) => {
    const view = viewV1(args);
    return record(holdingType('HoldingView'), {
      account: account(partyField(view, 'owner')),
      instrumentId: instrumentOf(view),
      amount: valueField(view, 'amount'),
      lock: retyped(valueField(view, 'lock')),
      meta: valueField(view, 'meta'),
    });
  },
});

/** @param viewV1 of the same contract. */
export const instructionInterfaceV2 = (viewV1: (args: DamlRecord) => DamlRecord): InterfaceImplementation => ({
  interfaceId: TRANSFER_INSTRUCTION_V2,
  view: (args) => {
    const view = viewV1(args);
    const transfer = recordField(view, 'transfer');
    const sender = partyField(transfer, 'sender');
    const receiver = partyField(transfer, 'receiver');
    return record(transferType('TransferInstructionView'), {
      originalInstructionCid: valueField(view, 'originalInstructionCid'),
      transfer: recordValue(
        record(transferType('Transfer'), {
          sender: account(sender),
          receiver: account(receiver),
          amount: valueField(transfer, 'amount'),
          instrumentId: instrumentOf(transfer),
          requestedAt: valueField(transfer, 'requestedAt'),
          executeBefore: valueField(transfer, 'executeBefore'),
          inputHoldingCids: valueField(transfer, 'inputHoldingCids'),
          meta: valueField(transfer, 'meta'),
        }),
      ),
      availableActions: actions({ TIA_Accept: receiver, TIA_Reject: receiver, TIA_Withdraw: sender }),
      expiresAt: optional(time(timeField(transfer, 'executeBefore'))),
      meta: metadata(new Map()),
    });
  },
});

/** An account of V2 that is nothing but its owner. */
export function account(owner: string): Value {
  return recordValue(
    record(holdingType('Account'), {
      owner: optional(party(owner)),
      provider: optional(undefined),
      id: text(''),
    }),
  );
}

type ChoiceV2 = Exclude<InstructionChoice, 'Update'>;
const CHOICES_V2: readonly ChoiceV2[] = ['Accept', 'Reject', 'Withdraw'];

/** What a template calls V2's choice, which has the name of V1's. */
export function choiceNameV2(choice: InstructionChoice): string {
  return `V2.TransferInstruction_${choice}`;
}

/** V2's choices consume nothing themselves: each calls that of V1, so that readers of V1 see what they know. */
export const instructionChoicesV2: Readonly<Record<string, Choice>> = Object.fromEntries(
  CHOICES_V2.map((choice) => [
    choiceNameV2(choice),
    {
      interfaceId: TRANSFER_INSTRUCTION_V2,
      name: `TransferInstruction_${choice}`,
      consuming: false,
      controllers: (_contract, argument) => partiesField(argument, 'actors'),
      run: (scope, { contractId }, argument) => {
        const result = scope.exercise(
          contractId,
          `TransferInstruction_${choice}`,
          instructionArgument(choice, contextOf(argument)),
        );
        return recordValue({ ...recordOf(result), recordId: transferType('TransferInstructionResult') });
      },
    } satisfies Choice,
  ]),
);

/** Argument of V2's `TransferInstruction_…`. */
export function instructionArgumentV2(
  choice: InstructionChoice,
  actors: readonly string[],
  context: ChoiceContext,
): DamlRecord {
  return record(transferType(`TransferInstruction_${choice}`), {
    actors: list(actors.map(party)),
    extraArgs: extraArgs(context),
  });
}

function instrumentOf(source: DamlRecord): Value {
  const instrument = recordField(source, 'instrumentId');
  const fields = { admin: party(partyField(instrument, 'admin')), id: text(textField(instrument, 'id')) };
  return recordValue(record(holdingType('InstrumentId'), fields));
}

/** A lock has the same fields in both versions. */
function retyped(lock: Value): Value {
  const inner = lock.sum?.$case === 'optional' ? lock.sum.value.value?.sum : undefined;
  if (inner?.$case !== 'record') return lock;
  return optional(recordValue({ ...inner.value, recordId: holdingType('Lock') }));
}

/** @returns each action with the one party that may take it, in the order of the actions' names. */
function actions(allowed: Readonly<Record<string, string>>): Value {
  const action = transferType('TransferInstructionAction');
  const entries = Object.entries(allowed).map(([name, actor]) => ({
    key: variant(action, name, { sum: { $case: 'unit', value: {} } }),
    value: list([list([party(actor)])]),
  }));
  return { sum: { $case: 'genMap', value: { entries } } };
}

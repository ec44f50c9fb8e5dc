/**
 * Canton Coin's two-step transfer: the offer locks the funds with the DSO as holder, and ends by acceptance, rejection, withdrawal, or the
 * DSO's update after its deadline. Inside the offer, `inputHoldingCids` names the locked holding.
 */

import type { Contract } from '../daml/contract.ts';
import { shownDecimal } from '../daml/decimal.ts';
import type { Scope, Template } from '../daml/template.ts';
import {
  contractId,
  contractIdField,
  type DamlRecord,
  decimalField,
  partyField,
  record,
  recordField,
  recordOf,
  recordValue,
  type Value,
} from '../daml/value.ts';
import {
  AMULET_PACKAGE_NAME,
  amuletTemplate,
  amuletType,
  type Generation,
  reportHoldingsChange,
  unlockedCid,
} from './amulet-contracts.ts';
import {
  type AmuletContext,
  amuletContextOf,
  type Movement,
  move,
  moveAndReport,
  resolveInputs,
} from './amulet-movements.ts';
import { moveByRules } from './amulet-rules.ts';
import {
  type ChoiceContext,
  contextOf,
  type InstructionChoice,
  instructionInterface,
  instructionView,
  META,
  metaValues,
  TRANSFER_INSTRUCTION,
  type Transfer,
  transferOf,
  transferRecord,
  transferResult,
} from './standard.ts';
import { instructionChoicesV2, instructionInterfaceV2 } from './standard-v2.ts';

const MODULE = 'Splice.AmuletTransferInstruction';

/** The factory's part: lock the amount, make the instruction, leave the change with the sender. */
export function createOffer(
  scope: Scope,
  generation: Generation,
  dso: string,
  context: AmuletContext,
  transfer: Transfer,
): Value {
  scope.fetch(generation === 'old' ? context.openRound : context.configState);
  const { sender, receiver, executeBeforeMicros } = transfer;
  // The older package locks what its own fee at acceptance will take, so that the receiver gets the full amount.
  const feeUnits =
    generation === 'old' ? decimalField(scope.fetch(context.amuletRules).createArguments, 'createFee') : 0n;
  const movement: Movement = {
    dso,
    sender,
    receiver: sender,
    amountUnits: transfer.amountUnits + feeUnits,
    inputCids: resolveInputs(scope, generation, transfer),
    lock: { holders: [dso], expiresAtMicros: executeBeforeMicros, context: `transfer to '${receiver}'` },
    meta: transfer.meta,
  };
  const moved =
    generation === 'old' ? moveByRules(scope, context, movement).moved : lockAndReport(scope, context, movement);
  const offered = { ...transfer, inputHoldingCids: [moved.outputCid] };
  const instructionCid = scope.create(
    scope.template(AMULET_PACKAGE_NAME, MODULE, 'AmuletTransferInstruction'),
    record(amuletType(generation, MODULE, 'AmuletTransferInstruction'), {
      lockedAmulet: contractId(moved.outputCid),
      transfer: transferRecord(offered),
    }),
  );
  const meta = metaValues({ [META.burned]: moved.burnedUnits > 0n ? shownDecimal(moved.burnedUnits) : undefined });
  return transferResult(
    { kind: 'pending', instructionCid },
    moved.changeCid === undefined ? [] : [moved.changeCid],
    meta,
  );
}

/** Locking is a transfer to oneself in the event log: one event, both sides. */
function lockAndReport(scope: Scope, { configState }: AmuletContext, movement: Movement): ReturnType<typeof move> {
  const { dso, sender, inputCids, amountUnits, lock } = movement;
  const moved = move(scope, 'new', movement);
  const meta = metaValues({ [META.reason]: `lock for ${lock?.context ?? ''}` });
  reportHoldingsChange(scope, configState, {
    dso,
    owner: sender,
    inputCids,
    outputCids: [moved.outputCid, ...(moved.changeCid === undefined ? [] : [moved.changeCid])],
    legs: [
      { side: 'SenderSide', otherParty: sender, amountUnits, meta },
      { side: 'ReceiverSide', otherParty: sender, amountUnits, meta },
    ],
  });
  return moved;
}

export function instructionTemplate(generation: Generation): Template {
  const end = (
    choice: InstructionChoice,
    controllers: (transfer: Transfer) => readonly string[],
    run: (scope: Scope, offer: Offer, argument: DamlRecord) => Value,
  ): Template['choices'] => ({
    [`TransferInstruction_${choice}`]: {
      interfaceId: TRANSFER_INSTRUCTION,
      consuming: true,
      controllers: (contract) => controllers(offerOf(contract).transfer),
      run: (scope, contract, argument) => run(scope, offerOf(contract), argument),
    },
  });
  const view = (args: DamlRecord): DamlRecord => instructionView(recordValue(recordField(args, 'transfer')));
  return amuletTemplate(generation, MODULE, 'AmuletTransferInstruction', {
    signatories: (args) => {
      const { sender, instrumentId } = transferOf(recordField(args, 'transfer'));
      return [instrumentId.admin, sender];
    },
    observers: (args) => [partyField(recordField(args, 'transfer'), 'receiver')],
    interfaces:
      generation === 'old' ? [instructionInterface(view)] : [instructionInterface(view), instructionInterfaceV2(view)],
    choices: {
      ...(generation === 'old' ? {} : instructionChoicesV2),
      ...end(
        'Accept',
        ({ receiver }) => [receiver],
        (scope, offer, argument) => accept(scope, generation, offer, argument),
      ),
      ...end(
        'Reject',
        ({ receiver }) => [receiver],
        (scope, offer, argument) => giveBack(scope, generation, offer, contextOf(argument)),
      ),
      ...end(
        'Withdraw',
        ({ sender }) => [sender],
        (scope, offer, argument) => giveBack(scope, generation, offer, contextOf(argument)),
      ),
      ...end(
        'Update',
        ({ instrumentId }) => [instrumentId.admin],
        (scope, offer, argument) => {
          scope.requireAtOrAfter(offer.transfer.executeBeforeMicros, 'transfer.executeBefore');
          return giveBack(scope, generation, offer, contextOf(argument));
        },
      ),
    },
  });
}

type Offer = { readonly lockedCid: string; readonly transfer: Transfer };

function offerOf({ createArguments }: Contract): Offer {
  return {
    lockedCid: contractIdField(createArguments, 'lockedAmulet'),
    transfer: transferOf(recordField(createArguments, 'transfer')),
  };
}

function unlockOffer(scope: Scope, generation: Generation, lockedCid: string, context: AmuletContext): string {
  const choice = generation === 'old' ? 'LockedAmulet_Unlock' : 'LockedAmulet_UnlockV2';
  const fields = generation === 'old' ? { openRoundCid: contractId(context.openRound) } : {};
  return unlockedCid(
    recordOf(scope.exercise(lockedCid, choice, record(amuletType(generation, 'Splice.Amulet', choice), fields))),
  );
}

function accept(scope: Scope, generation: Generation, { lockedCid, transfer }: Offer, argument: DamlRecord): Value {
  const { sender, receiver, amountUnits, executeBeforeMicros, instrumentId, meta } = transfer;
  const context = amuletContextOf(contextOf(argument));
  scope.requireBefore(executeBeforeMicros, 'transfer.executeBefore');
  scope.fetch(generation === 'old' ? context.openRound : context.configState);
  const inputCid = unlockOffer(scope, generation, lockedCid, context);
  const movement: Movement = {
    dso: instrumentId.admin,
    sender,
    receiver,
    amountUnits,
    inputCids: [inputCid],
    lock: undefined,
    meta,
  };
  if (generation === 'old') {
    const { moved } = moveByRules(scope, context, movement);
    const burned = moved.burnedUnits > 0n ? shownDecimal(moved.burnedUnits) : undefined;
    return completed(moved, metaValues({ [META.burned]: burned }));
  }
  scope.fetch(context.configState);
  const moved = moveAndReport(scope, context.configState, movement);
  return completed(
    moved,
    metaValues({ [META.reason]: meta.get(META.reason), [META.sender]: sender, [META.txKind]: 'transfer' }),
  );
}

function completed(
  { outputCid, changeCid }: { outputCid: string; changeCid: string | undefined },
  meta: ReadonlyMap<string, string>,
): Value {
  return transferResult(
    { kind: 'completed', receiverHoldingCids: [outputCid] },
    changeCid === undefined ? [] : [changeCid],
    meta,
  );
}

/** Back to the sender; nothing comes back where the registry says that the lock is gone already. */
function giveBack(scope: Scope, generation: Generation, { lockedCid, transfer }: Offer, values: ChoiceContext): Value {
  const hasLock = values.get('expire-lock')?.sum;
  const isGone =
    hasLock?.$case === 'variant' && hasLock.value.value?.sum?.$case === 'bool' && !hasLock.value.value.sum.value;
  if (isGone) {
    scope.requireAtOrAfter(transfer.executeBeforeMicros, 'transfer.executeBefore');
    return transferResult({ kind: 'failed' }, [], new Map());
  }
  const returned = unlockOffer(scope, generation, lockedCid, amuletContextOf(values));
  return transferResult({ kind: 'failed' }, [returned], new Map());
}

/**
 * Moving amulets: spending inputs, creating output and change. The newer package does it right below the choice at hand and reports it to
 * the event log; the older one goes through the rules contract, whose result repeats what the choice above it says.
 */
import { shownDecimal } from '../daml/decimal.ts';
import type { Scope } from '../daml/template.ts';
import { type DamlRecord, partyField, record, recordField, recordOf, type Value } from '../daml/value.ts';
import {
  AMULET_PACKAGE_NAME,
  amuletAmount,
  amuletArguments,
  amuletType,
  type Generation,
  lockedAmuletArguments,
  ownerExpireLock,
  reportHoldingsChange,
  unlockedCid,
} from './amulet-contracts.ts';
import { damlFailure, requireThat } from './refusals.ts';
import { contextContractId, type HoldingLock, type Metadata } from './standard.ts';

export const INPUTS_MAX = 100; // Of ExternalPartyConfigState on MainNet.

/** Contracts of the network that a transfer refers to; the registry discloses them. */
export type AmuletContext = {
  readonly amuletRules: string;
  readonly openRound: string;
  readonly configState: string;
};

/** @throws CantonError when the registry's context lacks one of them. */
export function amuletContextOf(context: ReadonlyMap<string, Value>): AmuletContext {
  const given = (key: string): string => {
    const cid = contextContractId(context, key);
    requireThat(cid !== undefined, `the choice context has ${key}`);
    return cid ?? '';
  };
  return {
    amuletRules: given('amulet-rules'),
    openRound: given('open-round'),
    configState: given('external-party-config-state'),
  };
}

export type Movement = {
  readonly dso: string;
  readonly sender: string;
  readonly inputCids: readonly string[];
  readonly receiver: string;
  /** Units of 10⁻¹⁰. */
  readonly amountUnits: bigint;
  readonly lock: HoldingLock | undefined;
  readonly meta: Metadata;
};

/** What a movement made. */
export type Moved = {
  readonly outputCid: string;
  /** Undefined when nothing was left. */
  readonly changeCid: string | undefined;
  readonly changeUnits: bigint;
  readonly inputUnits: bigint;
  readonly burnedUnits: bigint;
};

/**
 * Fetches the inputs of a transfer and releases expired locks among them.
 * @returns contract ids of plain amulets of the sender.
 * @throws CantonError for too many inputs, none, or holdings that are not the sender's to spend.
 */
export function resolveInputs(
  scope: Scope,
  generation: Generation,
  { inputHoldingCids, sender }: { readonly inputHoldingCids: readonly string[]; readonly sender: string },
): readonly string[] {
  requireThat(inputHoldingCids.length > 0, 'at least one input holding is provided');
  if (inputHoldingCids.length > INPUTS_MAX) {
    throw damlFailure(
      'splice.lfdecentralizedtrust.org/maximum-inputs-exceeded',
      'invalidRequest',
      `Too many inputs provided: ${inputHoldingCids.length} exceeds ${INPUTS_MAX}`,
    );
  }
  return inputHoldingCids.map((cid) => {
    const { templateId, createArguments } = scope.fetch(cid);
    const isLocked = templateId.entityName === 'LockedAmulet';
    requireThat(isLocked || templateId.entityName === 'Amulet', 'an input holding is an amulet');
    const amulet = isLocked ? recordField(createArguments, 'amulet') : createArguments;
    requireThat(partyField(amulet, 'owner') === sender, 'an input holding is owned by the sender');
    if (!isLocked) return cid;
    const choice = ownerExpireLock(generation);
    const argument = record(amuletType(generation, 'Splice.Amulet', choice), {});
    return unlockedCid(recordOf(scope.exercise(cid, choice, argument)));
  });
}

/**
 * Archives the inputs and creates output and change.
 * @param beforeOutputs what the package creates between the archives and the outputs.
 * @throws CantonError `insufficient-funds` when the inputs do not cover amount and fee.
 */
export function move(
  scope: Scope,
  generation: Generation,
  { dso, sender, inputCids, receiver, amountUnits, lock }: Movement,
  { feeUnits = 0n, beforeOutputs }: { feeUnits?: bigint; beforeOutputs?: () => void } = {},
): Moved {
  const inputUnits = spendInputs(scope, inputCids);
  const changeUnits = changeOf(inputUnits, amountUnits + feeUnits);
  beforeOutputs?.();
  const amulet = (owner: string, units: bigint): DamlRecord => amuletArguments(generation, dso, owner, units);
  const template = scope.template(AMULET_PACKAGE_NAME, 'Splice.Amulet', 'Amulet');
  const lockedTemplate = scope.template(AMULET_PACKAGE_NAME, 'Splice.Amulet', 'LockedAmulet');
  const output = amulet(receiver, amountUnits);
  const outputCid =
    lock === undefined
      ? scope.create(template, output)
      : scope.create(lockedTemplate, lockedAmuletArguments(generation, output, lock));
  const changeCid = changeUnits > 0n ? scope.create(template, amulet(sender, changeUnits)) : undefined;
  return { outputCid, changeCid, changeUnits, inputUnits, burnedUnits: feeUnits };
}

/** @returns the sum of the archived inputs, units of 10⁻¹⁰. */
export function spendInputs(scope: Scope, inputCids: readonly string[]): bigint {
  let inputUnits = 0n;
  for (const cid of inputCids) {
    inputUnits += amuletAmount(scope.fetch(cid).createArguments);
    scope.archive(cid);
  }
  return inputUnits;
}

/** @throws CantonError `insufficient-funds` when the inputs do not cover what is needed. */
export function changeOf(inputUnits: bigint, neededUnits: bigint): bigint {
  if (inputUnits >= neededUnits) return inputUnits - neededUnits;
  throw damlFailure(
    'splice.lfdecentralizedtrust.org/insufficient-funds',
    'invalidState',
    `Insufficient funds: needed ${shownDecimal(neededUnits)}, available ${shownDecimal(inputUnits)}`,
  );
}

/** Moves as the newer package does, reporting to every account it touches, in the order of parties. */
export function moveAndReport(scope: Scope, configState: string, movement: Movement): Moved {
  const { dso, sender, receiver, amountUnits, inputCids, meta } = movement;
  const moved = move(scope, 'new', movement);
  const change = moved.changeCid === undefined ? [] : [moved.changeCid];
  const sent = { side: 'SenderSide', otherParty: receiver, amountUnits, meta } as const;
  const received = { side: 'ReceiverSide', otherParty: sender, amountUnits, meta } as const;
  const changes =
    sender === receiver
      ? [{ owner: sender, inputCids, outputCids: [moved.outputCid, ...change], legs: [sent, received] }]
      : [
          { owner: sender, inputCids, outputCids: change, legs: [sent] },
          { owner: receiver, inputCids: [], outputCids: [moved.outputCid], legs: [received] },
        ].sort((left, right) => (left.owner < right.owner ? -1 : 1));
  for (const entry of changes) reportHoldingsChange(scope, configState, { dso, ...entry });
  return moved;
}

/** What an exercise may explain, as the reference sees it: asked for one instrument at a time. */
import type { Event, ExercisedEvent } from '../../../src/gen/com/daml/ledger/api/v2/event.ts';
import type { Told } from '../corpus/story.ts';
import {
  BURN_MINT,
  cidIn,
  EVENT_LOG,
  fullName,
  get,
  type Instrument,
  KEY,
  keyOf,
  leniently,
  listIn,
  Misshapen,
  must,
  mustRecord,
  nameOfTemplate,
  type Offer,
  type Output,
  partyIn,
  readInstrument,
  readOutput,
  readOwner,
  readResultMeta,
  readTransfer,
  TRANSFERS_1,
  TRANSFERS_2,
  textIn,
  unitsIn,
} from './ledger-values.ts';
import { absolute, bare, type Change, directionOf, sumOf, toldOf } from './telling.ts';
export type Explainer = {
  readonly rank: 0 | 1 | 2;
  readonly exercise: ExercisedEvent;
  /** The offer whose making it explains, instead of a movement of its own. */
  readonly offer: string | null;
  readonly tell: ((sum: bigint) => Told) | null;
};

/** Code that is known: package name and entity. */
const KNOWN_CODE = [
  'splice-amulet Splice.AmuletRules:AmuletRules',
  'splice-amulet Splice.AmuletRules:TransferPreapproval',
  'splice-amulet Splice.ExternalPartyAmuletRules:ExternalPartyAmuletRules',
  'splice-amulet Splice.Amulet:Amulet',
  'splice-amulet Splice.Amulet:LockedAmulet',
  'utility-registry-v0 Utility.Registry.V0.Rule.Transfer:TransferRule',
  'utility-registry-app-v0 Utility.Registry.App.V0.Service.AllocationFactory:AllocationFactory',
];

export function turnOf(explainers: ReadonlyMap<string, Explainer>, name: string): number {
  const explainer = explainers.get(name);
  return explainer === undefined ? 0 : explainer.rank * 1e9 + explainer.exercise.nodeId;
}

export function encloses({ nodeId, lastDescendantNodeId }: ExercisedEvent, node: number): boolean {
  return nodeId <= node && node <= lastDescendantNodeId;
}

/** The party did it itself, or the code is known, or the instrument's admin did it, or signed the contract: else it could not have authorised a child. */
export function mayExplain(
  exercise: ExercisedEvent,
  { admin }: Instrument,
  party: string,
  events: readonly Event[],
): boolean {
  if (exercise.actingParties.some((actor) => actor === party || actor === admin)) return true;
  if (KNOWN_CODE.includes(`${exercise.packageName} ${nameOfTemplate(exercise.templateId)}`)) return true;
  return events.some(({ event }) => {
    if (event === undefined || event.$case === 'archived') return false;
    const child = event.value;
    if (child.nodeId === exercise.nodeId || !encloses(exercise, child.nodeId)) return false;
    const isDirect = !events.some(
      (between) =>
        between.event?.$case === 'exercised' &&
        between.event.value.nodeId !== child.nodeId &&
        between.event.value.nodeId > exercise.nodeId &&
        encloses(between.event.value, child.nodeId),
    );
    const authority = event.$case === 'created' ? event.value.signatories : event.value.actingParties;
    return isDirect && authority.includes(admin);
  });
}

export function termsOf(
  exercise: ExercisedEvent,
  instrument: Instrument,
  party: string,
  made: readonly Offer[],
): Explainer | null {
  return leniently(() => {
    const explainer = { rank: 1, exercise, offer: null } as const;
    const argument = exercise.choiceArgument;
    const on = fullName(exercise.interfaceId);
    if (exercise.choice === 'BurnMintFactory_BurnMint' && on === BURN_MINT) {
      if (keyOf(readInstrument(get(argument, 'instrumentId'))) !== keyOf(instrument)) return null;
      return { ...explainer, tell: (sum) => bare(sum > 0n ? 'MINT' : sum < 0n ? 'BURN' : 'MERGE', instrument, sum) };
    }
    const isFactory =
      exercise.choice === 'TransferFactory_Transfer' &&
      [`${TRANSFERS_1}TransferFactory`, `${TRANSFERS_2}TransferFactory`].includes(on);
    const isRule =
      nameOfTemplate(exercise.templateId) === 'Utility.Registry.V0.Rule.Transfer:TransferRule' &&
      ['TransferRule_DirectTransfer', 'TransferRule_TwoStepTransfer', 'TransferRule_Transfer'].includes(
        exercise.choice,
      );
    const output = isFactory ? readOutput(exercise.exerciseResult) : null;
    if (!isRule && output === null) return null;
    const transfer = readTransfer(get(argument, 'transfer'), isFactory && on.startsWith(TRANSFERS_2));
    if (keyOf(transfer.instrument) !== keyOf(instrument)) return null;
    if (transfer.sender !== party && transfer.receiver !== party) return null;
    if (output?.kind === 'Pending') {
      const offer = made.find(({ cid }) => cid === output.instruction);
      if (offer === undefined || keyOf(offer.transfer.instrument) !== keyOf(instrument)) return null;
      return { ...explainer, offer: offer.cid, tell: null };
    }
    const kind = transfer.sender === transfer.receiver ? 'MERGE' : 'DIRECT';
    const status = output?.kind === 'Failed' ? 'FAILED' : 'COMPLETED';
    return {
      ...explainer,
      tell: (sum) => {
        const amount = directionOf(transfer, party) === 'IN' ? absolute(sum) : transfer.units;
        return { ...toldOf(kind, transfer, party, sum, amount), status };
      },
    };
  });
}

export function labelOf(exercise: ExercisedEvent, instrument: Instrument, party: string): Explainer | null {
  const choice = instructionChoice(exercise);
  if (choice === null && isNoLabel(exercise)) return null;
  const meta = leniently(() => readResultMeta(exercise.exerciseResult)) ?? new Map<string, string>();
  const txKind = meta.get(`${KEY}tx-kind`) ?? null;
  const sender = leniently(() => partyIn(get(exercise.choiceArgument, 'sender'))) ?? meta.get(`${KEY}sender`) ?? null;
  const named = (told: Told): Told => ({
    ...told,
    memo: meta.get(`${KEY}reason`) ?? null,
    counterparty: told.direction === 'IN' && sender !== party ? sender : null,
  });
  const tellers: Record<string, (sum: bigint) => Told> = {
    transfer: (sum) => named(bare(sum === 0n ? 'MERGE' : 'DIRECT', instrument, sum)),
    mint: (sum) => bare('MINT', instrument, sum),
    burn: (sum) => bare('BURN', instrument, sum),
    'expire-dust': (sum) => bare('BURN', instrument, sum),
    'merge-split': (sum) => bare('MERGE', instrument, sum),
  };
  const explainer = { rank: 2, exercise, offer: null } as const;
  if (choice !== null) {
    if (leniently(() => readResultMeta(exercise.exerciseResult)) === null) return null;
    const status = choice.output.kind === 'Failed' ? (endStatus(choice)[1] ?? 'FAILED') : 'COMPLETED';
    return { ...explainer, tell: (sum) => ({ ...named(bare('OFFER', instrument, sum)), status }) };
  }
  const tell = txKind !== null && Object.hasOwn(tellers, txKind) ? tellers[txKind] : undefined;
  return tell ? { ...explainer, tell } : null;
}

/** One of the standard's choices by its name: it has terms, or claims nothing at all where its values are not the standard's. */
function isNoLabel(exercise: ExercisedEvent): boolean {
  const attempt = <T>(read: () => T): boolean => leniently(read) === null;
  const on = fullName(exercise.interfaceId);
  if (
    exercise.choice === 'TransferFactory_Transfer' &&
    [`${TRANSFERS_1}TransferFactory`, `${TRANSFERS_2}TransferFactory`].includes(on)
  ) {
    const output = leniently(() => ({ found: readOutput(exercise.exerciseResult) }));
    if (output === null) return true;
    return output.found !== null;
  }
  if (isInstructionChoice(exercise)) return attempt(() => ({ found: readOutput(exercise.exerciseResult) }));
  if (
    nameOfTemplate(exercise.templateId) === 'Utility.Registry.V0.Rule.Transfer:TransferRule' &&
    ['TransferRule_DirectTransfer', 'TransferRule_TwoStepTransfer', 'TransferRule_Transfer'].includes(exercise.choice)
  ) {
    return true;
  }
  return exercise.choice === 'BurnMintFactory_BurnMint' && on === BURN_MINT;
}

export type InstructionChoice = { readonly choice: string; readonly output: Output };

function isInstructionChoice({ choice, consuming, interfaceId }: ExercisedEvent): boolean {
  const names = ['Accept', 'Reject', 'Withdraw', 'Update'].map((name) => `TransferInstruction_${name}`);
  const on = `${consuming ? TRANSFERS_1 : TRANSFERS_2}TransferInstruction`;
  return names.includes(choice) && fullName(interfaceId) === on;
}

export function instructionChoice(exercise: ExercisedEvent): InstructionChoice | null {
  if (!isInstructionChoice(exercise)) return null;
  const output = leniently(() => readOutput(exercise.exerciseResult));
  const isReadable = leniently(() => readResultMeta(exercise.exerciseResult)) !== null;
  return output === null || !isReadable ? null : { choice: exercise.choice, output };
}

/** Of the offer's contract, and of the transfer. */
export function endStatus(end: InstructionChoice | null): [string, string] {
  if (end === null) return ['FAILED', 'FAILED'];
  if (end.output.kind === 'Pending') return ['REPLACED', 'PENDING'];
  if (end.output.kind === 'Completed') return ['ACCEPTED', 'COMPLETED'];
  const byChoice: Record<string, string> = {
    TransferInstruction_Reject: 'REJECTED',
    TransferInstruction_Withdraw: 'WITHDRAWN',
    TransferInstruction_Update: 'EXPIRED',
  };
  const status = byChoice[end.choice] ?? 'FAILED';
  return [status, status];
}

export function reportDiffers(exercise: ExercisedEvent, party: string, changes: readonly Change[]): boolean {
  if (exercise.choice !== 'EventLog_HoldingsChange' || fullName(exercise.interfaceId) !== EVENT_LOG) return false;
  const differs = leniently((): boolean => {
    const log = mustRecord(exercise.choiceArgument);
    const admin = must(partyIn(get(log, 'admin')));
    if (exercise.actingParties.join() !== admin || readOwner(get(log, 'account'), admin) !== party) return false;
    const cids = (label: string) => listIn(get(log, label)).map((cid) => must(cidIn(cid)));
    const inputs = cids('inputHoldingCids');
    const outputs = cids('outputHoldingCids');
    const legs = listIn(get(log, 'transferLegSides')).map((leg) => {
      const id = must(textIn(get(leg, 'instrumentId')));
      const units = must(unitsIn(get(leg, 'amount')));
      const side = get(leg, 'side')?.sum;
      const name = side?.$case === 'enum' || side?.$case === 'variant' ? side.value.constructor : '';
      if (!['SenderSide', 'ReceiverSide'].includes(name)) throw new Misshapen('side');
      return { id, units: name === 'ReceiverSide' ? units : -units };
    });
    const told = [
      ...inputs.map((cid) => changes.find((change) => change.cid === cid && change.units < 0n)),
      ...outputs.map((cid) => changes.find((change) => change.cid === cid && change.units > 0n)),
    ];
    if (told.some((change) => change?.instrument.admin !== admin)) return true;
    const ids = new Set([...legs.map(({ id }) => id), ...told.flatMap((change) => change?.instrument.id ?? [])]);
    return [...ids].some((id) => {
      const byLegs = sumOf(legs.filter((leg) => leg.id === id));
      const byHoldings = sumOf(told.flatMap((change) => (change?.instrument.id === id ? [change] : [])));
      return byLegs !== byHoldings;
    });
  });
  return differs ?? false;
}

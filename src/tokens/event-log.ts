/**
 * The event log of the standard's second generation: the admin's own report of what it did to the holdings of an account. It credits nothing, the holdings do;
 * but where it tells another story than the holdings we saw, somebody should look.
 *
 * A report counts only where the admin it names acted alone and the account is the party's: of every transfer one sees the other side's report as well.
 */
import type { ExercisedEvent } from '../gen/com/daml/ledger/api/v2/event.ts';
import type { Record as DamlRecord, Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import type { HoldingChange } from './holding-changes.ts';
import { EVENT_LOG_V2, isInterface } from './standard.ts';
import { readAccountOwner } from './transfer-record.ts';
import {
  DecodeError,
  field,
  readContractId,
  readDecimal,
  readList,
  readParty,
  readRecord,
  readText,
  readVariant,
  required,
} from './value.ts';

type Report = {
  readonly admin: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** What the legs say the account gained, by instrument id. */
  readonly gains: ReadonlyMap<string, bigint>;
};

/** @returns the reports on the party's account that do not agree with its holdings. Never throws: what is no report says nothing. */
export function differingReports(
  exercises: readonly ExercisedEvent[],
  party: string,
  changes: readonly HoldingChange[],
): readonly ExercisedEvent[] {
  const reports = exercises.filter(
    ({ choice, interfaceId }) => choice === 'EventLog_HoldingsChange' && isInterface(interfaceId, EVENT_LOG_V2),
  );
  if (reports.length === 0) return [];
  const created = new Map(changes.filter(({ delta }) => delta > 0n).map((change) => [change.contractId, change]));
  const consumed = new Map(changes.filter(({ delta }) => delta < 0n).map((change) => [change.contractId, change]));
  return reports.filter((exercise) => {
    const report = reportOn(exercise, party);
    return report !== undefined && !agrees(report, created, consumed);
  });
}

/** The holdings it names are ones we saw, and they gained what its legs say. Merging, locking and unlocking have no legs, and gain nothing. */
function agrees(
  { admin, inputs, outputs, gains }: Report,
  created: ReadonlyMap<string, HoldingChange>,
  consumed: ReadonlyMap<string, HoldingChange>,
): boolean {
  const named = [...inputs.map((cid) => consumed.get(cid)), ...outputs.map((cid) => created.get(cid))];
  const rest = new Map(gains);
  for (const change of named) {
    if (change === undefined || change.instrument.admin !== admin) return false;
    const { id } = change.instrument;
    rest.set(id, (rest.get(id) ?? 0n) - change.delta);
  }
  return [...rest.values()].every((units) => units === 0n);
}

function reportOn(exercise: ExercisedEvent, party: string): Report | undefined {
  try {
    const record = required(readRecord(exercise.choiceArgument), 'argument');
    const admin = required(readParty(field(record, 'admin')), 'admin');
    if (exercise.actingParties.length !== 1 || exercise.actingParties[0] !== admin) return undefined;
    if (readAccountOwner(field(record, 'account'), { admin, id: '' }) !== party) return undefined;
    return {
      admin,
      inputs: contractIdsOf(record, 'inputHoldingCids'),
      outputs: contractIdsOf(record, 'outputHoldingCids'),
      gains: gainsOf(readList(field(record, 'transferLegSides')) ?? []),
    };
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

function gainsOf(legs: readonly Value[]): ReadonlyMap<string, bigint> {
  const gains = new Map<string, bigint>();
  for (const leg of legs) {
    const record = readRecord(leg);
    const id = required(readText(field(record, 'instrumentId')), 'instrumentId');
    const amount = required(readDecimal(field(record, 'amount')), 'amount');
    gains.set(id, (gains.get(id) ?? 0n) + (isReceived(field(record, 'side')) ? amount : -amount));
  }
  return gains;
}

/** The side is an enumeration, which some encodings write as a variant without content. */
function isReceived(side: Value | undefined): boolean {
  const name = side?.sum?.$case === 'enum' ? side.sum.value.constructor : readVariant(side)?.constructor;
  if (name !== 'ReceiverSide' && name !== 'SenderSide') throw new DecodeError('A leg has no side.', { name });
  return name === 'ReceiverSide';
}

function contractIdsOf(record: DamlRecord, label: string): readonly string[] {
  return (readList(field(record, label)) ?? []).map((cid) => required(readContractId(cid), label));
}

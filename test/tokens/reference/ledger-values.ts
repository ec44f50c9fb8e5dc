/** The values of the token standard as the reference reads them: strictly, and not with the parser's code. */
import type { CreatedEvent } from '../../../src/gen/com/daml/ledger/api/v2/event.ts';
import type { Record as DamlRecord, Identifier, Value } from '../../../src/gen/com/daml/ledger/api/v2/value.ts';

export type Instrument = { readonly admin: string; readonly id: string };
export type Transfer = {
  readonly sender: string;
  readonly receiver: string;
  readonly units: bigint;
  readonly instrument: Instrument;
  readonly memo: string | null;
};
export type Offer = {
  readonly node: number;
  readonly cid: string;
  readonly transfer: Transfer;
  readonly original: string | null;
};
export type Output = { readonly kind: 'Pending' | 'Completed' | 'Failed'; readonly instruction: string | null };

export const KEY = 'splice.lfdecentralizedtrust.org/';

const HOLDING_1 = '718a0f77e505a8de22f188bd4c87fe74101274e9d4cb1bfac7d09aec7158d35b:Splice.Api.Token.HoldingV1:Holding';
const HOLDING_2 = '4b7ecfc366d79ccc5ed07c80f26fe489cf2dfd43ce2856c06a78e6a048db7032:Splice.Api.Token.HoldingV2:Holding';
export const TRANSFERS_1 =
  '55ba4deb0ad4662c4168b39859738a0e91388d252286480c7331b3f71a517281:Splice.Api.Token.TransferInstructionV1:';
export const TRANSFERS_2 =
  '29317e3b7b165d2bbf16721bcca0ec4869e53eddb2738bddf790d61af28e0099:Splice.Api.Token.TransferInstructionV2:';
export const BURN_MINT =
  '9cc2cbc838ef38dc2c7f34014c9c452bcf71b8e2a4f939235fc0b5d0924b185e:Splice.Api.Token.BurnMintV1:BurnMintFactory';
export const EVENT_LOG =
  '5c1097a9bad0af4bcfe6d3fb0fe55112d3d11f18eae57ddfb14c20836fee226c:Splice.Api.Token.TransferEventsV2:EventLog';

export class Misshapen extends Error {}

export function leniently<T>(read: () => T | null): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof Misshapen) return null;
    throw error;
  }
}

function viewsOf(event: CreatedEvent, names: readonly string[]): { name: string; view: DamlRecord }[] {
  const views = names.flatMap((name) =>
    event.interfaceViews.filter((view) => fullName(view.interfaceId) === name).map((view) => ({ name, view })),
  );
  const computed = views.flatMap(({ name, view: { viewStatus, viewValue } }) =>
    (viewStatus?.code ?? 0) === 0 && viewValue ? [{ name, view: viewValue }] : [],
  );
  if (views.length > 0 && computed.length === 0) throw new Misshapen('no view');
  return computed.slice(0, 1);
}

export function holdingOf(event: CreatedEvent) {
  const [found] = viewsOf(event, [HOLDING_1, HOLDING_2]);
  if (found === undefined) return undefined;
  const { name, view } = found;
  const instrument = readInstrument(get(view, 'instrumentId'));
  const owner =
    name === HOLDING_1 ? must(partyIn(get(view, 'owner'))) : readOwner(get(view, 'account'), instrument.admin);
  const units = must(unitsIn(get(view, 'amount')));
  const lock = insideOf(get(view, 'lock'));
  if (lock !== undefined) {
    listIn(get(mustRecord(lock), 'holders')).forEach((holder) => void must(partyIn(holder)));
    of(insideOf(get(mustRecord(lock), 'expiresAt')), 'timestamp');
    of(insideOf(get(mustRecord(lock), 'expiresAfter')), 'record');
    of(insideOf(get(mustRecord(lock), 'context')), 'text');
  }
  const part =
    name === HOLDING_1
      ? [...readMeta(get(view, 'meta'))].flatMap(([key, value]) => (key.startsWith('cip-112/account.') ? [value] : []))
      : [
          partyIn(insideOf(get(mustRecord(get(view, 'account')), 'provider'))) ?? '',
          textIn(get(mustRecord(get(view, 'account')), 'id')) ?? '',
        ];
  return { owner, instrument, units, isLocked: lock !== undefined, part: part.join('') };
}

export function offerOf(event: CreatedEvent): Offer | undefined {
  const names = [`${TRANSFERS_1}TransferInstruction`, `${TRANSFERS_2}TransferInstruction`];
  const [found] = viewsOf(event, names);
  if (found === undefined) return undefined;
  const transfer = readTransfer(get(found.view, 'transfer'), found.name === names[1]);
  const original = cidIn(insideOf(get(found.view, 'originalInstructionCid'))) ?? null;
  return { node: event.nodeId, cid: event.contractId, transfer, original };
}

export function readTransfer(value: Value | undefined, isSecond: boolean): Transfer {
  const record = mustRecord(value);
  const units = must(unitsIn(get(record, 'amount')));
  if (units < 0n) throw new Misshapen('below zero');
  const instrument = readInstrument(get(record, 'instrumentId'));
  const end = (label: string) =>
    isSecond ? readOwner(get(record, label), instrument.admin) : must(partyIn(get(record, label)));
  const transfer = { sender: end('sender'), receiver: end('receiver'), units, instrument };
  must(of(get(record, 'requestedAt'), 'timestamp'));
  must(of(get(record, 'executeBefore'), 'timestamp'));
  for (const cid of listIn(get(record, 'inputHoldingCids'))) must(cidIn(cid));
  return { ...transfer, memo: readMeta(get(record, 'meta')).get(`${KEY}reason`) ?? null };
}

export function readOwner(value: Value | undefined, admin: string): string {
  return partyIn(insideOf(get(mustRecord(value), 'owner'))) ?? admin;
}

export function readInstrument(value: Value | undefined): Instrument {
  const id = must(textIn(get(value, 'id')));
  if (new TextEncoder().encode(id).length > 256) throw new Misshapen('id too long');
  return { admin: must(partyIn(get(value, 'admin'))), id };
}

function readMeta(value: Value | undefined): Map<string, string> {
  const map = of(get(value, 'values'), 'textMap');
  return new Map((map?.entries ?? []).map(({ key, value: entry }) => [clean(key), must(textIn(entry))]));
}

export function readResultMeta(result: Value | undefined): Map<string, string> {
  if (result?.sum?.$case !== 'record') return new Map();
  const meta = get(result, 'meta');
  return readMeta(meta?.sum?.$case === 'optional' ? meta.sum.value.value : meta);
}

export function readOutput(result: Value | undefined): Output | null {
  const output = of(get(result, 'output'), 'variant');
  const kind = output?.constructor.replace(/^TransferInstructionResult_/, '');
  if (output === undefined || !output.constructor.startsWith('TransferInstructionResult_')) return null;
  if (kind === 'Pending') return { kind, instruction: cidIn(get(output.value, 'transferInstructionCid')) ?? null };
  return kind === 'Completed' || kind === 'Failed' ? { kind, instruction: null } : null;
}

type Sum = NonNullable<Value['sum']>;
type Payloads = { [S in Sum as S['$case']]: S['value'] };

export function of<C extends keyof Payloads>(value: Value | undefined, wanted: C): Payloads[C] | undefined {
  if (value === undefined) return undefined;
  if (value.sum?.$case !== wanted) throw new Misshapen(`${value.sum?.$case} for ${wanted}`);
  return value.sum.value as Payloads[C];
}

export function get(value: Value | DamlRecord | undefined, label: string): Value | undefined {
  const record = value !== undefined && 'fields' in value ? value : of(value, 'record');
  return record?.fields.find((field) => field.label === label)?.value;
}

export function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Misshapen('missing');
  return value;
}

export const mustRecord = (value: Value | undefined): DamlRecord => must(of(value, 'record'));
export const partyIn = (value: Value | undefined): string | undefined => of(value, 'party');
export const cidIn = (value: Value | undefined): string | undefined => of(value, 'contractId');
export const listIn = (value: Value | undefined): readonly Value[] => of(value, 'list')?.elements ?? [];
const insideOf = (value: Value | undefined): Value | undefined => of(value, 'optional')?.value;

export function textIn(value: Value | undefined): string | undefined {
  const text = of(value, 'text');
  return text === undefined ? undefined : clean(text);
}

export function clean(text: string): string {
  return text.split('\u0000').join('\uFFFD').toWellFormed();
}

export function unitsIn(value: Value | undefined): bigint | undefined {
  const digits = of(value, 'numeric');
  if (digits === undefined) return undefined;
  const [whole = '', fraction, ...rest] = digits.replace(/^-/, '').split('.');
  const isPlain = (part: string, max: number) => part.length > 0 && part.length <= max && /^[0-9]+$/.test(part);
  if (rest.length > 0 || !isPlain(whole, 28) || (fraction !== undefined && !isPlain(fraction, 10))) {
    throw new Misshapen('no decimal');
  }
  const units = BigInt(`${whole}${(fraction ?? '').padEnd(10, '0')}`);
  return digits.startsWith('-') ? -units : units;
}

export function fullName(identifier: Identifier | undefined): string {
  return identifier ? `${identifier.packageId}:${nameOfTemplate(identifier)}` : '';
}

export function nameOfTemplate(identifier: Identifier | undefined): string {
  return identifier ? `${identifier.moduleName}:${identifier.entityName}` : '';
}

export function keyOf({ admin, id }: Instrument): string {
  return JSON.stringify([admin, id]);
}

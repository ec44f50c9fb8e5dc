/** Answers that have the form of a true one and are not: what a byzantine instance says to be believed. */
import { sha256Hex } from '../ledger/ids.ts';

export type Lie =
  /** Another factory. */
  | 'factory'
  | 'transferKind'
  /** The context names another contract, which is disclosed in the place of the true one. */
  | 'contextContract'
  /** The context says more than it should. */
  | 'extraContext'
  /** A disclosed contract with other contents. */
  | 'blob'
  | 'extraDisclosed'
  | 'missingDisclosed'
  /** Contracts of another synchronizer. */
  | 'synchronizer'
  /** Another name and other decimals for an instrument; another admin or DSO for the registry. */
  | 'metadata'
  /** A preapproval that there is not, or that is another. */
  | 'preapproval'
  /** As it was when it was asked the same first. */
  | 'stale'
  /** The truth in another order. No lie: those who compare must not mind. */
  | 'order';

export const LIES = [
  'factory',
  'transferKind',
  'contextContract',
  'extraContext',
  'blob',
  'extraDisclosed',
  'missingDisclosed',
  'synchronizer',
  'metadata',
  'preapproval',
  'stale',
  'order',
] as const satisfies readonly Lie[];

type Json = Readonly<Record<string, unknown>>;

/** @param body a true answer. @param stale what was answered to the same question first. @returns the answer to give; the true one where the lie has nothing to lie about. */
export function lieAbout(body: unknown, lie: Lie, salt: string, stale: unknown): unknown {
  if (!isObject(body)) return body;
  switch (lie) {
    case 'factory':
      return 'factoryId' in body ? { ...body, factoryId: otherId(body['factoryId'], salt) } : body;
    case 'transferKind':
      return 'transferKind' in body
        ? { ...body, transferKind: body['transferKind'] === 'direct' ? 'offer' : 'direct' }
        : body;
    case 'metadata':
      return lieInMetadata(body, salt);
    case 'preapproval':
      return lieInPreapproval(body, salt);
    case 'stale':
      return stale;
    case 'order':
      return reversed(body);
    default:
      return inContext(body, (context) => lieInContext(context, lie, salt));
  }
}

function lieInContext(context: Json, lie: Lie, salt: string): Json {
  const data = isObject(context['choiceContextData']) ? context['choiceContextData'] : {};
  const values = isObject(data['values']) ? data['values'] : {};
  const disclosed = Array.isArray(context['disclosedContracts']) ? context['disclosedContracts'].filter(isObject) : [];
  const [first, ...rest] = disclosed;
  const withValues = (changed: Json): Json => ({ ...context, choiceContextData: { ...data, values: changed } });
  const withDisclosed = (changed: readonly Json[]): Json => ({ ...context, disclosedContracts: changed });
  switch (lie) {
    case 'contextContract': {
      const [key, value] =
        Object.entries(values).find(([, each]) => isObject(each) && each['tag'] === 'AV_ContractId') ?? [];
      return key === undefined || !isObject(value)
        ? context
        : withValues({ ...values, [key]: { ...value, value: otherId(value['value'], salt) } });
    }
    case 'extraContext':
      return withValues({ ...values, 'acme.example/extra': { tag: 'AV_Text', value: salt } });
    case 'blob':
      return first === undefined ? context : withDisclosed([{ ...first, createdEventBlob: blobOf(salt) }, ...rest]);
    case 'extraDisclosed':
      return first === undefined
        ? context
        : withDisclosed([
            ...disclosed,
            { ...first, contractId: otherId(first['contractId'], salt), createdEventBlob: blobOf(salt) },
          ]);
    case 'missingDisclosed':
      return withDisclosed(rest);
    case 'synchronizer':
      return withDisclosed(disclosed.map((each) => ({ ...each, synchronizerId: `other::1220${sha256Hex(salt)}` })));
    default:
      return context;
  }
}

/** Of a factory the context is a part, of an instruction it is the answer. */
function inContext(body: Json, change: (context: Json) => Json): Json {
  if (isObject(body['choiceContext'])) return { ...body, choiceContext: change(body['choiceContext']) };
  return 'choiceContextData' in body ? change(body) : body;
}

function lieInMetadata(body: Json, salt: string): Json {
  if (Array.isArray(body['instruments'])) {
    return {
      ...body,
      instruments: body['instruments'].map((each) => (isObject(each) ? lieInMetadata(each, salt) : each)),
    };
  }
  if ('decimals' in body) return { ...body, name: `Other ${salt}`, decimals: 2 };
  const party = `evil::1220${sha256Hex(salt)}`;
  if ('adminId' in body) return { ...body, adminId: party };
  return 'dso_party_id' in body ? { ...body, dso_party_id: party } : body;
}

function lieInPreapproval(body: Json, salt: string): Json {
  const found = body['transfer_preapproval'];
  const contract = isObject(found) ? found['contract'] : undefined;
  if (!isObject(found) || !isObject(contract)) return body;
  const other = { ...contract, contract_id: otherId(contract['contract_id'], salt) };
  return { ...body, transfer_preapproval: { ...found, contract: other } };
}

function reversed(body: Json): Json {
  return Object.fromEntries(
    Object.entries(body)
      .toReversed()
      .map(([key, value]) => [
        key,
        key === 'disclosedContracts' && Array.isArray(value)
          ? value.toReversed()
          : isObject(value)
            ? reversed(value)
            : value,
      ]),
  );
}

function otherId(id: unknown, salt: string): string {
  return `00${sha256Hex(String(id), salt)}ca111220${sha256Hex(salt, String(id))}`;
}

function blobOf(salt: string): string {
  return Buffer.from(sha256Hex(salt), 'hex').toString('base64');
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

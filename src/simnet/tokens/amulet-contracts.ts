/**
 * Contracts of the Canton-Coin-like instrument and the values inside them, as package `splice-amulet` declares them. The fee schedule of
 * AmuletRules is reduced to the one fee that the simulated network can charge.
 */

import { shownDecimal } from '../daml/decimal.ts';
import type { Choice, Scope, Template } from '../daml/template.ts';
import {
  contractId,
  contractIdField,
  type DamlRecord,
  decimal,
  decimalField,
  type Identifier,
  identifier,
  int64,
  list,
  optional,
  optionalField,
  partiesField,
  party,
  partyField,
  record,
  recordField,
  recordValue,
  text,
  time,
  timeField,
  type Value,
} from '../daml/value.ts';
import { packageId } from '../ledger/ids.ts';
import { eventLogInterface, holdingsChangeArgument, holdingsChangeChoice } from './event-log.ts';
import {
  type HoldingLock,
  holdingInterface,
  holdingView,
  META,
  type Metadata,
  metadata,
  metaValues,
} from './standard.ts';
import { holdingInterfaceV2 } from './standard-v2.ts';

/** `old` is amulet ≤ 0.1.16 (transfers through AmuletRules_Transfer), `new` is 0.1.21 (SendV2, event log). Both live side by side. */
export type Generation = 'old' | 'new';

export const AMULET_PACKAGE_NAME = 'splice-amulet';
export const AMULET_ID = 'Amulet';

export const AMULET_PACKAGE_ID: Readonly<Record<Generation, string>> = {
  old: '6e9fc50fb94e56751b49f09ba2dc84da53a9d7cff08115ebb4f6b7a12d0c990c',
  new: packageId('splice-amulet-0.1.21'),
};

export const AMULET_PRICE_UNITS = 50_000_000n; // 0.005 USD.
const HOLDING_FEE_RATE_UNITS = 38_051_800n; // 0.0038051800 per round; only dust expiry looks at it.

type Choices = Readonly<{ [name: string]: Choice }>;

export function amuletType(generation: Generation, moduleName: string, entityName: string): Identifier {
  return identifier(AMULET_PACKAGE_ID[generation], moduleName, entityName);
}

/** The current mining round of the simulated network: it never moves, as nothing that is simulated depends on it. */
export function round(generation: Generation): Value {
  return recordValue(record(amuletType(generation, 'Splice.Types', 'Round'), { number: int64(1n) }));
}

export function amuletArguments(generation: Generation, dso: string, owner: string, amountUnits: bigint): DamlRecord {
  const fees = (entity: string): Identifier => amuletType(generation, 'Splice.Fees', entity);
  return record(amuletType(generation, 'Splice.Amulet', 'Amulet'), {
    dso: party(dso),
    owner: party(owner),
    amount: recordValue(
      record(fees('ExpiringAmount'), {
        initialAmount: decimal(amountUnits),
        createdAt: round(generation),
        ratePerRound: recordValue(record(fees('RatePerRound'), { rate: decimal(HOLDING_FEE_RATE_UNITS) })),
      }),
    ),
  });
}

export function lockedAmuletArguments(generation: Generation, amulet: DamlRecord, lock: HoldingLock): DamlRecord {
  const timeLock = record(amuletType(generation, 'Splice.Expiry', 'TimeLock'), {
    holders: list(lock.holders.map(party)),
    expiresAt: time(lock.expiresAtMicros ?? 0n),
    optContext: optional(text(lock.context)),
  });
  return record(amuletType(generation, 'Splice.Amulet', 'LockedAmulet'), {
    amulet: recordValue(amulet),
    lock: recordValue(timeLock),
  });
}

export function amuletAmount(amulet: DamlRecord): bigint {
  return decimalField(recordField(amulet, 'amount'), 'initialAmount');
}

export function lockOf(lockedAmulet: DamlRecord): HoldingLock {
  const lock = recordField(lockedAmulet, 'lock');
  const context = optionalField(lock, 'optContext');
  return {
    holders: partiesField(lock, 'holders'),
    expiresAtMicros: timeField(lock, 'expiresAt'),
    context: context?.sum?.$case === 'text' ? context.sum.value : '',
  };
}

function amuletView(amulet: DamlRecord, lock: HoldingLock | undefined): DamlRecord {
  return holdingView({
    owner: partyField(amulet, 'owner'),
    instrumentId: { admin: partyField(amulet, 'dso'), id: AMULET_ID },
    amountUnits: amuletAmount(amulet),
    lock,
    meta: metaValues({
      'amulet.splice.lfdecentralizedtrust.org/created-in-round': '1',
      'amulet.splice.lfdecentralizedtrust.org/rate-per-round': shownDecimal(HOLDING_FEE_RATE_UNITS),
    }),
  });
}

type TemplateSpec = Pick<Template, 'signatories'> & Partial<Pick<Template, 'observers' | 'interfaces' | 'choices'>>;

export function amuletTemplate(
  generation: Generation,
  moduleName: string,
  entityName: string,
  spec: TemplateSpec,
): Template {
  return {
    templateId: amuletType(generation, moduleName, entityName),
    packageName: AMULET_PACKAGE_NAME,
    signatories: spec.signatories,
    observers: spec.observers ?? (() => []),
    interfaces: spec.interfaces ?? [],
    choices: spec.choices ?? {},
  };
}

const dsoOf = (args: DamlRecord): string => partyField(args, 'dso');

/**
 * Holdings, coupons and rounds: everything without transfers of its own.
 * @param expiry the choices by which the DSO removes a holding of that template.
 */
export function amuletContracts(
  generation: Generation,
  expiry: (holding: 'Amulet' | 'LockedAmulet') => Choices,
): readonly Template[] {
  // The newer package shows its holdings through both versions of the standard: one contract, two views.
  const holding = (view: (args: DamlRecord) => DamlRecord): Template['interfaces'] =>
    generation === 'old' ? [holdingInterface(view)] : [holdingInterface(view), holdingInterfaceV2(view)];
  const signedByDso = { signatories: (args: DamlRecord) => [dsoOf(args)] };
  const templates = [
    amuletTemplate(generation, 'Splice.Amulet', 'Amulet', {
      signatories: (args) => [dsoOf(args), partyField(args, 'owner')],
      interfaces: holding((args) => amuletView(args, undefined)),
      choices: expiry('Amulet'),
    }),
    amuletTemplate(generation, 'Splice.Amulet', 'LockedAmulet', {
      signatories: (args) => {
        const amulet = recordField(args, 'amulet');
        return [dsoOf(amulet), partyField(amulet, 'owner'), ...lockOf(args).holders];
      },
      interfaces: holding((args) => amuletView(recordField(args, 'amulet'), lockOf(args))),
      choices: { ...lockedAmuletChoices(generation), ...expiry('LockedAmulet') },
    }),
    amuletTemplate(generation, 'Splice.Amulet', 'ValidatorRewardCoupon', {
      ...signedByDso,
      observers: (args) => [partyField(args, 'user')],
    }),
    amuletTemplate(generation, 'Splice.Amulet', 'AppRewardCoupon', {
      ...signedByDso,
      observers: (args) => [partyField(args, 'provider')],
    }),
    amuletTemplate(generation, 'Splice.Round', 'OpenMiningRound', signedByDso),
  ];
  if (generation === 'old') return templates;
  return [
    ...templates,
    amuletTemplate(generation, 'Splice.ExternalPartyConfigState', 'ExternalPartyConfigState', {
      ...signedByDso,
      interfaces: [eventLogInterface(dsoOf)],
      choices: { EventLog_HoldingsChange: holdingsChangeChoice },
    }),
    amuletTemplate(generation, 'Splice.AmuletEventLog', 'AmuletEventLog', {
      ...signedByDso,
      interfaces: [eventLogInterface(dsoOf)],
      choices: { EventLog_HoldingsChange: holdingsChangeChoice },
    }),
  ];
}

/** By the owner, once the lock has expired. */
export function ownerExpireLock(generation: Generation): string {
  return `LockedAmulet_OwnerExpireLock${generation === 'old' ? '' : 'V2'}`;
}

/** Unlocking, by owner and holders together or by the owner once the lock has expired. */
function lockedAmuletChoices(generation: Generation): Choices {
  const version = generation === 'old' ? '' : 'V2';
  const owner = (args: DamlRecord): string => partyField(recordField(args, 'amulet'), 'owner');
  return {
    [`LockedAmulet_Unlock${version}`]: {
      consuming: true,
      controllers: ({ createArguments }) => [owner(createArguments), ...lockOf(createArguments).holders],
      run: (scope, { createArguments, contractId: cid }, argument) => {
        if (generation === 'old') scope.fetch(contractIdField(argument, 'openRoundCid'));
        return unlock(scope, generation, {
          lockedCid: cid,
          locked: createArguments,
          reason: 'holders released lock',
        });
      },
    },
    [ownerExpireLock(generation)]: {
      consuming: true,
      controllers: ({ createArguments }) => [owner(createArguments)],
      run: (scope, { createArguments, contractId: cid }) => {
        scope.requireAtOrAfter(lockOf(createArguments).expiresAtMicros ?? 0n, 'lock.expiresAt');
        return unlock(scope, generation, {
          lockedCid: cid,
          locked: createArguments,
          reason: 'owner released expired lock',
        });
      },
    },
  };
}

function unlock(
  scope: Scope,
  generation: Generation,
  { lockedCid, locked, reason }: { lockedCid: string; locked: DamlRecord; reason: string },
): Value {
  const amulet = recordField(locked, 'amulet');
  const dso = dsoOf(amulet);
  const owner = partyField(amulet, 'owner');
  const created = amuletArguments(generation, dso, owner, amuletAmount(amulet));
  const amuletCid = scope.create(scope.template(AMULET_PACKAGE_NAME, 'Splice.Amulet', 'Amulet'), created);
  if (generation === 'new') {
    // No configuration is at hand here, so the change is reported on a log contract made for the purpose.
    const logCid = scope.create(
      scope.template(AMULET_PACKAGE_NAME, 'Splice.AmuletEventLog', 'AmuletEventLog'),
      record(amuletType(generation, 'Splice.AmuletEventLog', 'AmuletEventLog'), { dso: party(dso) }),
    );
    reportHoldingsChange(scope, logCid, { dso, owner, inputCids: [lockedCid], outputCids: [amuletCid], legs: [] });
    scope.archive(logCid);
  }
  return unlockResult(generation, amuletCid, reason);
}

type Change = Omit<Parameters<typeof holdingsChangeArgument>[0], 'instrumentId'> & { readonly dso: string };

/** Exercises V2's event log on `logCid`: one account's view of a change of its holdings. */
export function reportHoldingsChange(scope: Scope, logCid: string, { dso, ...change }: Change): void {
  const argument = holdingsChangeArgument({ ...change, instrumentId: { admin: dso, id: AMULET_ID } });
  scope.exercise(logCid, 'EventLog_HoldingsChange', argument);
}

/** @returns the contract id of the unlocked amulet in the result of an unlocking choice. */
export function unlockedCid(result: DamlRecord): string {
  return contractIdField(recordField(result, 'amuletSum'), 'amulet');
}

function unlockResult(generation: Generation, amuletCid: string, reason: string): Value {
  const amulet = (entity: string): Identifier => amuletType(generation, 'Splice.Amulet', entity);
  return recordValue(
    record(amulet('LockedAmulet_UnlockResult'), {
      amuletSum: amuletSum(generation, amuletCid),
      meta: optionalMetadata(generation, metaValues({ [META.txKind]: 'unlock', [META.reason]: reason })),
    }),
  );
}

/** A created amulet with the price at that time. */
export function amuletSum(generation: Generation, amuletCid: string): Value {
  return recordValue(
    record(amuletType(generation, 'Splice.Amulet', 'AmuletCreateSummary'), {
      amulet: contractId(amuletCid),
      amuletPrice: decimal(AMULET_PRICE_UNITS),
      round: round(generation),
    }),
  );
}

/** The old package appended `meta` to results that existed before, so there it is an Optional; the new choices declare it plainly. */
export function optionalMetadata(generation: Generation, meta: Metadata): Value {
  return generation === 'old' ? optional(metadata(meta)) : metadata(meta);
}

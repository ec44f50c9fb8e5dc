/**
 * What a transfer may consist of, per known implementation of the token standard: which choices on which templates, which contracts it may
 * make, and how to read a holding. A list of what is allowed, so a choice of tomorrow's package is refused until it is looked at.
 *
 * Names stand for a template here, not proof: that a contract really is the registry's rests on its signatories (`intent-authority.ts`).
 * @see Splice `splice-amulet` 0.1.16 and 0.1.21; utility registry app and holding packages as seen on MainNet, August 2026.
 */
import type { Micros } from '../env/clock.ts';
import type { Create } from '../gen/com/daml/ledger/api/v2/interactive/transaction/v1/interactive_submission_data.ts';
import type { Record as DamlRecord, Identifier } from '../gen/com/daml/ledger/api/v2/value.ts';
import type { Amount } from '../tokens/amount.ts';
import type { Instrument } from '../tokens/transfer-record.ts';
import {
  field,
  qualifiedName,
  readDecimal,
  readList,
  readOptional,
  readParty,
  readRecord,
  readText,
  readTime,
  required,
} from '../tokens/value.ts';
import { demand } from './custody-refusal.ts';
import type { RegistryImplementation } from './transfer-intent.ts';

export type HoldingLock = {
  /** `null` where the implementation's lock does not say it in a way that is read here. */
  readonly holders: readonly string[] | null;
  readonly expiresAt: Micros | null;
};

export type HoldingFacts = {
  readonly owner: string;
  readonly instrument: Instrument;
  readonly amount: Amount;
  readonly lock: HoldingLock | null;
};

export type Implementation = {
  /** Template of the factory. */
  readonly root: string;
  /** `template choice` of every exercise below the root, and whether it consumes. */
  readonly exercises: ReadonlyMap<string, boolean>;
  /** Templates of contracts it may make. */
  readonly creates: ReadonlySet<string>;
  /** Template of an offer, whose argument has the standard's record as `transfer`. */
  readonly offer: string;
  /** @returns `undefined` for a contract that is no holding. @throws DecodeError, CustodyRefusal when it is one and cannot be read. */
  readonly holding: (create: Create) => HoldingFacts | undefined;
};

/** `package:Module:Entity`: the name that stays when a package is upgraded. */
export function templateName(contract: {
  readonly packageName: string;
  readonly templateId: Identifier | undefined;
}): string {
  return `${contract.packageName}:${qualifiedName(contract.templateId)}`;
}

const AMULET = 'splice-amulet:Splice.Amulet:Amulet';
const LOCKED_AMULET = 'splice-amulet:Splice.Amulet:LockedAmulet';
const PREAPPROVAL = 'splice-amulet:Splice.AmuletRules:TransferPreapproval';
const AMULET_EVENT_LOG = 'splice-amulet:Splice.AmuletEventLog:AmuletEventLog';
const FEATURED_APP_RIGHT = 'splice-amulet:Splice.Amulet:FeaturedAppRight';
const ACTIVITY_MARKER = 'splice-amulet:Splice.Amulet:FeaturedAppActivityMarker';
const AMULET_OFFER = 'splice-amulet:Splice.AmuletTransferInstruction:AmuletTransferInstruction';
const AMULET_ID = 'Amulet';

const SPLICE_AMULET: Implementation = {
  root: 'splice-amulet:Splice.ExternalPartyAmuletRules:ExternalPartyAmuletRules',
  exercises: new Map([
    [`${PREAPPROVAL} TransferPreapproval_Send`, false],
    [`${PREAPPROVAL} TransferPreapproval_SendV2`, false],
    ['splice-amulet:Splice.AmuletRules:AmuletRules AmuletRules_Transfer', false],
    [`${AMULET} Archive`, true],
    // An input whose lock has expired is released on the way.
    [`${LOCKED_AMULET} LockedAmulet_OwnerExpireLock`, true],
    [`${LOCKED_AMULET} LockedAmulet_OwnerExpireLockV2`, true],
    ['splice-amulet:Splice.ExternalPartyConfigState:ExternalPartyConfigState EventLog_HoldingsChange', false],
    [`${AMULET_EVENT_LOG} EventLog_HoldingsChange`, false],
    [`${AMULET_EVENT_LOG} Archive`, true],
    [`${FEATURED_APP_RIGHT} FeaturedAppRight_CreateActivityMarker`, false],
  ]),
  creates: new Set([
    AMULET,
    LOCKED_AMULET,
    AMULET_EVENT_LOG,
    AMULET_OFFER,
    ACTIVITY_MARKER,
    // The older package pays for transfers with coupons.
    'splice-amulet:Splice.Amulet:AppRewardCoupon',
    'splice-amulet:Splice.Amulet:ValidatorRewardCoupon',
  ]),
  offer: AMULET_OFFER,
  holding: amuletHolding,
};

const UTILITY_HOLDING = 'utility-registry-holding-v0:Utility.Registry.Holding.V0.Holding:Holding';
const UTILITY_FACTORY = 'utility-registry-app-v0:Utility.Registry.App.V0.Service.AllocationFactory:AllocationFactory';
const UTILITY_RULE = 'utility-registry-v0:Utility.Registry.V0.Rule.Transfer:TransferRule';
const UTILITY_MODEL = 'utility-registry-app-v0:Utility.Registry.App.V0.Model.Transfer';

const UTILITY_REGISTRY: Implementation = {
  root: UTILITY_FACTORY,
  exercises: new Map([
    [`${UTILITY_FACTORY} AllocationFactory_TransferInternal`, false],
    [`${UTILITY_RULE} TransferRule_DirectTransfer`, false],
    [`${UTILITY_RULE} TransferRule_TwoStepTransfer`, false],
    [`${UTILITY_RULE} TransferRule_Transfer`, false],
    [`${UTILITY_HOLDING} Archive`, true],
    [`${FEATURED_APP_RIGHT} FeaturedAppRight_CreateActivityMarker`, false],
  ]),
  creates: new Set([
    UTILITY_HOLDING,
    `${UTILITY_MODEL}:TransferOffer`,
    `${UTILITY_MODEL}:ExecutedTransfer`,
    ACTIVITY_MARKER,
  ]),
  offer: `${UTILITY_MODEL}:TransferOffer`,
  holding: utilityHolding,
};

/** The rules of a known implementation; `null` for others, which are judged by authority alone. */
export const IMPLEMENTATIONS: Readonly<Record<RegistryImplementation, Implementation | null>> = {
  SPLICE_AMULET,
  UTILITY_REGISTRY,
  OTHER: null,
};

function amuletHolding(create: Create): HoldingFacts | undefined {
  const name = templateName(create);
  if (name === AMULET) return amuletFacts(argumentOf(create, ['dso', 'owner', 'amount']), null);
  if (name !== LOCKED_AMULET) return undefined;
  const locked = argumentOf(create, ['amulet', 'lock']);
  const lock = readRecord(field(locked, 'lock'));
  return amuletFacts(readRecord(field(locked, 'amulet')), {
    holders: required(readList(field(lock, 'holders')), 'lock.holders').map((holder) =>
      required(readParty(holder), 'lock holder'),
    ),
    expiresAt: required(readTime(field(lock, 'expiresAt')), 'lock.expiresAt'),
  });
}

function amuletFacts(amulet: DamlRecord | undefined, lock: HoldingLock | null): HoldingFacts {
  return {
    owner: required(readParty(field(amulet, 'owner')), 'owner'),
    instrument: { admin: required(readParty(field(amulet, 'dso')), 'dso'), id: AMULET_ID },
    amount: required(readDecimal(field(readRecord(field(amulet, 'amount')), 'initialAmount')), 'amount.initialAmount'),
    lock,
  };
}

function utilityHolding(create: Create): HoldingFacts | undefined {
  if (templateName(create) !== UTILITY_HOLDING) return undefined;
  const labels = ['operator', 'provider', 'registrar', 'owner', 'instrument', 'label', 'amount'];
  const argument = argumentOf(create, labels);
  const instrument = readRecord(field(argument, 'instrument'));
  return {
    owner: required(readParty(field(argument, 'owner')), 'owner'),
    instrument: {
      admin: required(readParty(field(instrument, 'source')), 'instrument.source'),
      id: required(readText(field(instrument, 'id')), 'instrument.id'),
    },
    amount: required(readDecimal(field(argument, 'amount')), 'amount'),
    lock: readOptional(field(argument, 'lock')) === undefined ? null : { holders: null, expiresAt: null },
  };
}

/** Daml takes fields by position and we by label, so the labels must stand where the template declares them. */
function argumentOf(create: Create, labels: readonly string[]): DamlRecord {
  const argument = required(readRecord(create.argument), 'argument');
  const found = argument.fields.map(({ label }) => label);
  const isInOrder = labels.every((label, index) => found[index] === label) && new Set(found).size === found.length;
  demand(isInOrder, 'INTENT_HOLDINGS', 'A holding with other fields.', `contract ${create.contractId}`, { found });
  return argument;
}

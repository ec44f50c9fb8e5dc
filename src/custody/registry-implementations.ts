/**
 * What a transfer may consist of, per known implementation of the token standard: which choices on which templates, which contracts it may
 * make, and how to read a holding. A list of what is allowed, so a choice of tomorrow's package is refused until it is looked at.
 *
 * Names stand for a template here, not proof: that a contract really is the registry's rests on its signatories (`intent-authority.ts`).
 * @see Splice `splice-amulet` 0.1.16 and 0.1.21; utility registry app and holding packages as seen on MainNet, August 2026.
 */
import type { Micros } from '../env/clock.ts';
import type { Create } from '../gen/com/daml/ledger/api/v2/interactive/transaction/v1/interactive_submission_data.ts';
import type { Record as DamlRecord, Identifier, Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import type { Amount } from '../tokens/amount.ts';
import type { Instrument } from '../tokens/transfer-record.ts';
import {
  field,
  qualifiedName,
  readList,
  readOptional,
  readParty,
  readRecord,
  readText,
  readTime,
  required,
} from '../tokens/value.ts';
import { demand } from './custody-refusal.ts';
import { readPrintedDecimal } from './printed-decimal.ts';
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

/** Who must be the actors of a choice: exactly these, or (WITH_SENDER, WITHOUT_SENDER) any that the tree gives the right to. */
export type Actors = 'SENDER' | 'ADMIN' | 'SIGNATORIES' | 'WITH_SENDER' | 'WITHOUT_SENDER';
export type AllowedChoice = { readonly consuming: boolean; readonly actors: Actors };

export type OfferEnd = {
  readonly exercises: ReadonlyMap<string, AllowedChoice>;
  readonly creates: ReadonlySet<string>;
  /** Template of the receipt that all sign, with the standard's record as `transfer`; `null`: there is none. */
  readonly receipt: string | null;
};

export type Implementation = {
  /** Templates whose contracts may be the factory. */
  readonly roots: ReadonlySet<string>;
  /**
   * Template that the receiver alone signs and that passes a transfer on to the registry's rules: the one exception to the rule that the admin
   * signs whatever we act on. `null`: there is none.
   */
  readonly preapproval: string | null;
  /** By `template choice`: every exercise there may be below the root. */
  readonly exercises: ReadonlyMap<string, AllowedChoice>;
  /** Templates of contracts it may make. */
  readonly creates: ReadonlySet<string>;
  /** Template of an offer, whose argument has the standard's record as `transfer`. */
  readonly offer: string;
  /** What there may be below the choice by which we end an offer. `SENDER` among the actors stands for the treasury party here too. */
  readonly offerEnds: Readonly<Record<'ACCEPT' | 'REJECT' | 'WITHDRAW', OfferEnd>>;
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

const ARCHIVE: AllowedChoice = { consuming: true, actors: 'SIGNATORIES' };
const BY_SENDER: AllowedChoice = { consuming: false, actors: 'SENDER' };
const WITH_SENDER: AllowedChoice = { consuming: false, actors: 'WITH_SENDER' };
const BY_ADMIN: AllowedChoice = { consuming: false, actors: 'ADMIN' };
const RELEASE: AllowedChoice = { consuming: true, actors: 'SENDER' };
const MARKER: readonly [string, AllowedChoice] = [
  `${FEATURED_APP_RIGHT} FeaturedAppRight_CreateActivityMarker`,
  { consuming: false, actors: 'WITHOUT_SENDER' },
];

/** The sender and the lock's holder release what the offer has locked. @param actors whether the sender is the treasury party. */
const amuletUnlock = (actors: 'WITH_SENDER' | 'WITHOUT_SENDER'): readonly (readonly [string, AllowedChoice])[] => [
  [`${LOCKED_AMULET} LockedAmulet_Unlock`, { consuming: true, actors }],
  [`${LOCKED_AMULET} LockedAmulet_UnlockV2`, { consuming: true, actors }],
  ['splice-amulet:Splice.ExternalPartyConfigState:ExternalPartyConfigState EventLog_HoldingsChange', BY_ADMIN],
  [`${AMULET_EVENT_LOG} EventLog_HoldingsChange`, BY_ADMIN],
  [`${AMULET_EVENT_LOG} Archive`, ARCHIVE],
];

const SPLICE_AMULET: Implementation = {
  roots: new Set(['splice-amulet:Splice.ExternalPartyAmuletRules:ExternalPartyAmuletRules']),
  preapproval: null,
  exercises: new Map([
    [`${PREAPPROVAL} TransferPreapproval_Send`, BY_SENDER],
    [`${PREAPPROVAL} TransferPreapproval_SendV2`, BY_SENDER],
    ['splice-amulet:Splice.AmuletRules:AmuletRules AmuletRules_Transfer', WITH_SENDER],
    [`${AMULET} Archive`, ARCHIVE],
    // An input whose lock has expired is released on the way.
    [`${LOCKED_AMULET} LockedAmulet_OwnerExpireLock`, RELEASE],
    [`${LOCKED_AMULET} LockedAmulet_OwnerExpireLockV2`, RELEASE],
    ['splice-amulet:Splice.ExternalPartyConfigState:ExternalPartyConfigState EventLog_HoldingsChange', BY_ADMIN],
    [`${AMULET_EVENT_LOG} EventLog_HoldingsChange`, BY_ADMIN],
    [`${AMULET_EVENT_LOG} Archive`, ARCHIVE],
    MARKER,
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
  offerEnds: {
    ACCEPT: {
      exercises: new Map([
        ...amuletUnlock('WITHOUT_SENDER'),
        ['splice-amulet:Splice.AmuletRules:AmuletRules AmuletRules_Transfer', WITH_SENDER],
        [`${AMULET} Archive`, ARCHIVE],
        MARKER,
      ]),
      creates: new Set([
        AMULET,
        AMULET_EVENT_LOG,
        ACTIVITY_MARKER,
        'splice-amulet:Splice.Amulet:AppRewardCoupon',
        'splice-amulet:Splice.Amulet:ValidatorRewardCoupon',
      ]),
      receipt: null,
    },
    REJECT: {
      exercises: new Map(amuletUnlock('WITHOUT_SENDER')),
      creates: new Set([AMULET, AMULET_EVENT_LOG]),
      receipt: null,
    },
    WITHDRAW: {
      exercises: new Map(amuletUnlock('WITH_SENDER')),
      creates: new Set([AMULET, AMULET_EVENT_LOG]),
      receipt: null,
    },
  },
  holding: amuletHolding,
};

const UTILITY_HOLDING = 'utility-registry-holding-v0:Utility.Registry.Holding.V0.Holding:Holding';
const UTILITY_FACTORY = 'utility-registry-app-v0:Utility.Registry.App.V0.Service.AllocationFactory:AllocationFactory';
const UTILITY_RULE = 'utility-registry-v0:Utility.Registry.V0.Rule.Transfer:TransferRule';
const UTILITY_MODEL = 'utility-registry-app-v0:Utility.Registry.App.V0.Model.Transfer';

const UTILITY_PREAPPROVAL =
  'utility-registry-app-v0:Utility.Registry.App.V0.Model.TransferPreapproval:TransferPreapproval';

const UTILITY_REGISTRY: Implementation = {
  // The receiver's preapproval is a factory itself: direct transfers start there, or come to it from the registry's.
  roots: new Set([UTILITY_FACTORY, UTILITY_PREAPPROVAL]),
  preapproval: UTILITY_PREAPPROVAL,
  exercises: new Map([
    [`${UTILITY_FACTORY} AllocationFactory_TransferInternal`, WITH_SENDER],
    [`${UTILITY_PREAPPROVAL} TransferFactory_Transfer`, BY_SENDER],
    [`${UTILITY_RULE} TransferRule_DirectTransfer`, WITH_SENDER],
    [`${UTILITY_RULE} TransferRule_TwoStepTransfer`, WITH_SENDER],
    [`${UTILITY_RULE} TransferRule_Transfer`, WITH_SENDER],
    [`${UTILITY_HOLDING} Archive`, ARCHIVE],
    MARKER,
  ]),
  creates: new Set([
    UTILITY_HOLDING,
    `${UTILITY_MODEL}:TransferOffer`,
    `${UTILITY_MODEL}:ExecutedTransfer`,
    ACTIVITY_MARKER,
  ]),
  offer: `${UTILITY_MODEL}:TransferOffer`,
  offerEnds: {
    ACCEPT: {
      exercises: new Map([
        [`${UTILITY_RULE} TransferRule_TwoStepTransfer`, WITH_SENDER],
        [`${UTILITY_RULE} TransferRule_Transfer`, WITH_SENDER],
        [`${UTILITY_HOLDING} Archive`, ARCHIVE],
        MARKER,
      ]),
      creates: new Set([UTILITY_HOLDING, `${UTILITY_MODEL}:ExecutedTransfer`, ACTIVITY_MARKER]),
      receipt: `${UTILITY_MODEL}:ExecutedTransfer`,
    },
    REJECT: {
      exercises: new Map([[`${UTILITY_HOLDING} Archive`, ARCHIVE]]),
      creates: new Set([UTILITY_HOLDING]),
      receipt: null,
    },
    WITHDRAW: {
      exercises: new Map([[`${UTILITY_HOLDING} Archive`, ARCHIVE]]),
      creates: new Set([UTILITY_HOLDING]),
      receipt: null,
    },
  },
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
  if (name === AMULET) return amuletFacts(create.argument, null, create);
  if (name !== LOCKED_AMULET) return undefined;
  const locked = recordOf(create.argument, ['amulet', 'lock'], create);
  const lock = recordOf(field(locked, 'lock'), ['holders', 'expiresAt'], create);
  return amuletFacts(
    field(locked, 'amulet'),
    {
      holders: required(readList(field(lock, 'holders')), 'lock.holders').map((holder) =>
        required(readParty(holder), 'lock holder'),
      ),
      expiresAt: required(readTime(field(lock, 'expiresAt')), 'lock.expiresAt'),
    },
    create,
  );
}

function amuletFacts(value: Value | undefined, lock: HoldingLock | null, create: Create): HoldingFacts {
  const amulet = recordOf(value, ['dso', 'owner', 'amount'], create);
  const amount = recordOf(field(amulet, 'amount'), ['initialAmount', 'createdAt', 'ratePerRound'], create);
  return {
    owner: required(readParty(field(amulet, 'owner')), 'owner'),
    instrument: { admin: required(readParty(field(amulet, 'dso')), 'dso'), id: AMULET_ID },
    amount: required(readPrintedDecimal(field(amount, 'initialAmount')), 'amount.initialAmount'),
    lock,
  };
}

function utilityHolding(create: Create): HoldingFacts | undefined {
  if (templateName(create) !== UTILITY_HOLDING) return undefined;
  const labels = ['operator', 'provider', 'registrar', 'owner', 'instrument', 'label', 'amount'];
  const argument = recordOf(create.argument, labels, create);
  const instrument = recordOf(field(argument, 'instrument'), ['source', 'id', 'scheme'], create);
  const admin = required(readParty(field(instrument, 'source')), 'instrument.source');
  const isRegistrars = readParty(field(argument, 'registrar')) === admin;
  demand(isRegistrars, 'INTENT_HOLDINGS', 'A holding of another registrar.', `contract ${create.contractId}`);
  return {
    owner: required(readParty(field(argument, 'owner')), 'owner'),
    instrument: { admin, id: required(readText(field(instrument, 'id')), 'instrument.id') },
    amount: required(readPrintedDecimal(field(argument, 'amount')), 'amount'),
    lock: readOptional(field(argument, 'lock')) === undefined ? null : { holders: null, expiresAt: null },
  };
}

/** Daml takes fields by position and we by label, so the labels must stand where the type declares them. */
function recordOf(value: Value | undefined, labels: readonly string[], { contractId }: Create): DamlRecord {
  const record = required(readRecord(value), labels.join(', '));
  const found = record.fields.map(({ label }) => label);
  const isInOrder = labels.every((label, index) => found[index] === label) && new Set(found).size === found.length;
  demand(isInOrder, 'INTENT_HOLDINGS', 'A holding with other fields.', `contract ${contractId}`, { found });
  return record;
}

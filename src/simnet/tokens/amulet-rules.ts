/** `Splice.AmuletRules:AmuletRules`: tapping on test networks, burning for traffic, and the transfer that older packages route through it. */
import { shownDecimal, unitsOfDecimal } from '../daml/decimal.ts';
import type { Scope, Template } from '../daml/template.ts';
import {
  bool,
  contractId,
  contractIdField,
  contractIdOf,
  type DamlRecord,
  decimal,
  decimalField,
  type Identifier,
  list,
  listField,
  optional,
  optionalField,
  party,
  partyField,
  record,
  recordField,
  recordOf,
  recordValue,
  type Value,
  variant,
} from '../daml/value.ts';
import {
  AMULET_PACKAGE_NAME,
  AMULET_PRICE_UNITS,
  amuletArguments,
  amuletSum,
  amuletTemplate,
  amuletType,
  type Generation,
  optionalMetadata,
  round,
} from './amulet-contracts.ts';
import { type AmuletContext, changeOf, type Moved, type Movement, move, spendInputs } from './amulet-movements.ts';
import { requireThat } from './refusals.ts';
import { META, type Metadata, metadata, metadataOf, metaValues } from './standard.ts';

export const AMULET_RULES_MODULE = 'Splice.AmuletRules';

const rulesType = (generation: Generation, entity: string): Identifier =>
  amuletType(generation, AMULET_RULES_MODULE, entity);
const emptyGenMap: Value = { sum: { $case: 'genMap', value: { entries: [] } } };

/** @param createFeeUnits burned by every transfer of the older package; 0 on today's networks. */
export function amuletRulesArguments(generation: Generation, dso: string, createFeeUnits: bigint): DamlRecord {
  return record(rulesType(generation, 'AmuletRules'), {
    dso: party(dso),
    createFee: decimal(createFeeUnits),
    isDevNet: bool(true),
  });
}

export function amuletRulesTemplate(generation: Generation): Template {
  return amuletTemplate(generation, AMULET_RULES_MODULE, 'AmuletRules', {
    signatories: (args) => [partyField(args, 'dso')],
    choices: {
      AmuletRules_DevNet_Tap: {
        consuming: false,
        controllers: (_contract, argument) => [partyField(argument, 'receiver')],
        run: (scope, { createArguments }, argument) =>
          tap(scope, generation, partyField(createArguments, 'dso'), argument),
      },
      AmuletRules_BuyMemberTraffic: {
        consuming: false,
        controllers: (_contract, argument) => [partyField(argument, 'provider')],
        run: (scope, { createArguments }, argument) =>
          burn(scope, generation, partyField(createArguments, 'dso'), argument),
      },
      AmuletRules_Transfer: {
        consuming: false,
        controllers: (_contract, argument) => {
          const transfer = recordField(argument, 'transfer');
          const receivers = listField(transfer, 'outputs').map((output) => partyField(recordOf(output), 'receiver'));
          return [partyField(transfer, 'sender'), ...receivers];
        },
        run: (scope, { createArguments }, argument) => rulesTransfer(scope, generation, createArguments, argument),
      },
    },
  });
}

export function tapArgument(
  generation: Generation,
  receiver: string,
  amountUnits: bigint,
  openRound: string,
): DamlRecord {
  return record(rulesType(generation, 'AmuletRules_DevNet_Tap'), {
    receiver: party(receiver),
    amount: decimal(amountUnits),
    openRound: contractId(openRound),
  });
}

function tap(scope: Scope, generation: Generation, dso: string, argument: DamlRecord): Value {
  const amountUnits = decimalField(argument, 'amount');
  requireThat(amountUnits > 0n, 'the amount is positive');
  scope.fetch(contractIdField(argument, 'openRound'));
  const created = scope.create(
    scope.template(AMULET_PACKAGE_NAME, 'Splice.Amulet', 'Amulet'),
    amuletArguments(generation, dso, partyField(argument, 'receiver'), amountUnits),
  );
  return recordValue(
    record(rulesType(generation, 'AmuletRules_DevNet_TapResult'), {
      amuletSum: amuletSum(generation, created),
      meta: optionalMetadata(generation, metaValues({ [META.txKind]: 'mint' })),
    }),
  );
}

export function buyTrafficArgument(
  generation: Generation,
  provider: string,
  inputCids: readonly string[],
  amountUnits: bigint,
): DamlRecord {
  return record(rulesType(generation, 'AmuletRules_BuyMemberTraffic'), {
    inputs: transferInputs(generation, inputCids),
    provider: party(provider),
    amount: decimal(amountUnits),
  });
}

/** Buying traffic burns: inputs go, only the change comes back. */
function burn(scope: Scope, generation: Generation, dso: string, argument: DamlRecord): Value {
  const provider = partyField(argument, 'provider');
  const amountUnits = decimalField(argument, 'amount');
  requireThat(amountUnits > 0n, 'the amount is positive');
  const inputUnits = spendInputs(scope, inputCidsOf(argument));
  const changeUnits = changeOf(inputUnits, amountUnits);
  const amulet = scope.template(AMULET_PACKAGE_NAME, 'Splice.Amulet', 'Amulet');
  const changeCid =
    changeUnits > 0n ? scope.create(amulet, amuletArguments(generation, dso, provider, changeUnits)) : undefined;
  return recordValue(
    record(rulesType(generation, 'AmuletRules_BuyMemberTrafficResult'), {
      senderChangeAmulet: optional(changeCid === undefined ? undefined : contractId(changeCid)),
      meta: optionalMetadata(
        generation,
        metaValues({ [META.txKind]: 'burn', [META.burned]: shownDecimal(amountUnits) }),
      ),
    }),
  );
}

/** Moves as the older package does: by exercising the rules contract, whose result says again what the choice above will say. */
export function moveByRules(
  scope: Scope,
  context: AmuletContext,
  movement: Movement,
): { readonly moved: Moved; readonly result: DamlRecord } {
  const result = recordOf(
    scope.exercise(context.amuletRules, 'AmuletRules_Transfer', rulesTransferArgument(context, movement)),
  );
  const summary = recordField(result, 'summary');
  const [output] = listField(result, 'createdAmulets');
  const outputCid = output?.sum?.$case === 'variant' ? output.sum.value.value : undefined;
  const changeCid = optionalField(result, 'senderChangeAmulet');
  const meta = optionalField(result, 'meta');
  const burned = meta && metadataOf(recordOf(meta)).get(META.burned);
  requireThat(outputCid !== undefined, 'the transfer made its output');
  const moved = {
    outputCid: outputCid === undefined ? '' : contractIdOf(outputCid),
    changeCid: changeCid && contractIdOf(changeCid),
    changeUnits: decimalField(summary, 'senderChangeAmount'),
    inputUnits: decimalField(summary, 'inputAmuletAmount'),
    burnedUnits: burned === undefined ? 0n : unitsOfDecimal(burned),
  };
  return { moved, result };
}

export function transferInputs(generation: Generation, inputCids: readonly string[]): Value {
  const id = rulesType(generation, 'TransferInput');
  return list(inputCids.map((cid) => variant(id, 'InputAmulet', contractId(cid))));
}

export function inputCidsOf(argument: DamlRecord): readonly string[] {
  return listField(argument, 'inputs').flatMap(({ sum }) =>
    sum?.$case === 'variant' && sum.value.value !== undefined ? [contractIdOf(sum.value.value)] : [],
  );
}

export function transferContext(generation: Generation, openRound: string): Value {
  return recordValue(
    record(rulesType(generation, 'TransferContext'), {
      openMiningRound: contractId(openRound),
      issuingMiningRounds: emptyGenMap,
      validatorRights: emptyGenMap,
      featuredAppRight: optional(undefined),
    }),
  );
}

function rulesTransferArgument({ openRound }: AmuletContext, movement: Movement): DamlRecord {
  const { dso, sender, receiver, inputCids, amountUnits, lock } = movement;
  const lockValue =
    lock &&
    recordValue(
      record(amuletType('old', 'Splice.Expiry', 'TimeLock'), {
        holders: list(lock.holders.map(party)),
        expiresAt: { sum: { $case: 'timestamp', value: lock.expiresAtMicros ?? 0n } },
        optContext: optional({ sum: { $case: 'text', value: lock.context } }),
      }),
    );
  const output = record(rulesType('old', 'TransferOutput'), {
    receiver: party(receiver),
    receiverFeeRatio: decimal(0n),
    amount: decimal(amountUnits),
    lock: optional(lockValue),
  });
  const transfer = record(rulesType('old', 'Transfer'), {
    sender: party(sender),
    provider: party(sender),
    inputs: transferInputs('old', inputCids),
    outputs: list([recordValue(output)]),
    beneficiaries: optional(undefined),
  });
  return record(rulesType('old', 'AmuletRules_Transfer'), {
    transfer: recordValue(transfer),
    context: transferContext('old', openRound),
    expectedDso: optional(party(dso)),
  });
}

function rulesTransfer(scope: Scope, generation: Generation, rules: DamlRecord, argument: DamlRecord): Value {
  const transfer = recordField(argument, 'transfer');
  const [outputValue] = listField(transfer, 'outputs');
  requireThat(outputValue !== undefined, 'a transfer has an output');
  const output =
    outputValue === undefined ? record(rulesType(generation, 'TransferOutput'), {}) : recordOf(outputValue);
  const dso = partyField(rules, 'dso');
  const sender = partyField(transfer, 'sender');
  const receiver = partyField(output, 'receiver');
  const feeUnits = sender === receiver ? 0n : decimalField(rules, 'createFee');
  scope.fetch(contractIdField(recordField(argument, 'context'), 'openMiningRound'));
  const lock = optionalField(output, 'lock');
  const movement: Movement = {
    dso,
    sender,
    inputCids: inputCidsOf(transfer),
    receiver,
    amountUnits: decimalField(output, 'amount'),
    lock: lock && lockFromRules(recordOf(lock)),
    meta: new Map(),
  };
  const moved = move(scope, generation, movement, {
    feeUnits,
    beforeOutputs: () => createCoupons(scope, generation, { dso, user: sender, amountUnits: feeUnits }),
  });
  const kind = sender === receiver ? 'merge-split' : 'transfer';
  const meta = metaValues({
    [META.burned]: feeUnits > 0n ? shownDecimal(feeUnits) : undefined,
    [META.sender]: sender,
    [META.txKind]: kind,
  });
  return recordValue(rulesTransferResult(generation, movement, moved, meta));
}

function lockFromRules(lock: DamlRecord): Movement['lock'] {
  const holders = listField(lock, 'holders').flatMap(({ sum }) => (sum?.$case === 'party' ? [sum.value] : []));
  const expiresAt = lock.fields.find(({ label }) => label === 'expiresAt')?.value?.sum;
  const context = optionalField(lock, 'optContext')?.sum;
  return {
    holders,
    expiresAtMicros: expiresAt?.$case === 'timestamp' ? expiresAt.value : undefined,
    context: context?.$case === 'text' ? context.value : '',
  };
}

function createCoupons(
  scope: Scope,
  generation: Generation,
  { dso, user, amountUnits }: { dso: string; user: string; amountUnits: bigint },
): void {
  const type = (entity: string): Identifier => amuletType(generation, 'Splice.Amulet', entity);
  scope.create(
    scope.template(AMULET_PACKAGE_NAME, 'Splice.Amulet', 'ValidatorRewardCoupon'),
    record(type('ValidatorRewardCoupon'), {
      dso: party(dso),
      user: party(user),
      amount: decimal(amountUnits),
      round: round(generation),
    }),
  );
  scope.create(
    scope.template(AMULET_PACKAGE_NAME, 'Splice.Amulet', 'AppRewardCoupon'),
    record(type('AppRewardCoupon'), {
      dso: party(dso),
      provider: party(user),
      featured: bool(false),
      amount: decimal(amountUnits),
      round: round(generation),
      beneficiary: optional(party(user)),
    }),
  );
}

/** @param meta undefined: left out, as the newer package does, whose callers carry it. */
export function rulesTransferResult(
  generation: Generation,
  { sender, receiver, amountUnits }: Movement,
  { outputCid, changeCid, changeUnits, inputUnits, burnedUnits }: Moved,
  meta: Metadata | undefined,
): DamlRecord {
  const zero = decimal(0n);
  const change = (units: bigint): Value =>
    recordValue(
      record(rulesType(generation, 'BalanceChange'), {
        changeToInitialAmountAsOfRoundZero: decimal(units),
        changeToHoldingFeesRate: zero,
      }),
    );
  const changes =
    sender === receiver
      ? [{ key: party(sender), value: change(-burnedUnits) }]
      : [
          { key: party(sender), value: change(-amountUnits - burnedUnits) },
          { key: party(receiver), value: change(amountUnits) },
        ];
  const summary = record(rulesType(generation, 'TransferSummary'), {
    inputAppRewardAmount: zero,
    inputValidatorRewardAmount: zero,
    inputSvRewardAmount: zero,
    inputAmuletAmount: decimal(inputUnits),
    balanceChanges: { sum: { $case: 'genMap', value: { entries: changes } } },
    holdingFees: zero,
    outputFees: list([decimal(burnedUnits)]),
    senderChangeFee: zero,
    senderChangeAmount: decimal(changeUnits),
    amuletPrice: decimal(AMULET_PRICE_UNITS),
    inputValidatorFaucetAmount: optional(zero),
    inputUnclaimedActivityRecordAmount: optional(zero),
  });
  return record(rulesType(generation, 'TransferResult'), {
    round: round(generation),
    summary: recordValue(summary),
    createdAmulets: list([
      variant(rulesType(generation, 'CreatedAmulet'), 'TransferResultAmulet', contractId(outputCid)),
    ]),
    senderChangeAmulet: optional(changeCid === undefined ? undefined : contractId(changeCid)),
    meta: optional(meta && metadata(meta)),
  });
}

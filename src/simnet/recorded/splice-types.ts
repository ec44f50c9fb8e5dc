/**
 * Types of the templates, choices and views that captured Canton Coin transactions contain. Two of them are easy to get wrong from JSON
 * alone: `TransferPreapproval_SendResult.meta` is an Optional, and the maps of a transfer context are generic maps, printed as lists.
 */
import type { Identifier } from '../daml/value.ts';
import {
  BOOL,
  CONTRACT_ID,
  GUESS,
  genMapOf,
  INT,
  type LfType,
  listOf,
  NUMERIC,
  optionalOf,
  PARTY,
  TEXT,
  TIME,
  textMapOf,
  UNIT,
} from './lf-type.ts';

const METADATA_V1 = '4ded6b668cb3b64f7a88a30874cd41c75829f5e064b3fbbadf41ec7e8363354f';
const HOLDING_V1 = '718a0f77e505a8de22f188bd4c87fe74101274e9d4cb1bfac7d09aec7158d35b';
const TRANSFER_V1 = '55ba4deb0ad4662c4168b39859738a0e91388d252286480c7331b3f71a517281';

type Fields = Readonly<Record<string, LfType>>;

const recordOf = (id: Identifier, fields: Fields): LfType => ({ kind: 'record', id, fields: Object.entries(fields) });
const variantOf = (id: Identifier, cases: () => Fields): LfType => ({ kind: 'variant', id, cases });
const at =
  (packageId: string, moduleName: string) =>
  (entityName: string): Identifier => ({ packageId, moduleName, entityName });

const metadataModule = at(METADATA_V1, 'Splice.Api.Token.MetadataV1');
const holdingModule = at(HOLDING_V1, 'Splice.Api.Token.HoldingV1');
const transferModule = at(TRANSFER_V1, 'Splice.Api.Token.TransferInstructionV1');

const METADATA = recordOf(metadataModule('Metadata'), { values: textMapOf(TEXT) });
const ANY_VALUE: LfType = variantOf(metadataModule('AnyValue'), () => ({
  AV_Text: TEXT,
  AV_Int: INT,
  AV_Decimal: NUMERIC,
  AV_Bool: BOOL,
  AV_Date: { kind: 'date' },
  AV_Time: TIME,
  AV_RelTime: GUESS,
  AV_Party: PARTY,
  AV_ContractId: CONTRACT_ID,
  AV_List: listOf(ANY_VALUE),
  AV_Map: textMapOf(ANY_VALUE),
}));
const EXTRA_ARGS = recordOf(metadataModule('ExtraArgs'), {
  context: recordOf(metadataModule('ChoiceContext'), { values: textMapOf(ANY_VALUE) }),
  meta: METADATA,
});
const INSTRUMENT_ID = recordOf(holdingModule('InstrumentId'), { admin: PARTY, id: TEXT });
const TRANSFER = recordOf(transferModule('Transfer'), {
  sender: PARTY,
  receiver: PARTY,
  amount: NUMERIC,
  instrumentId: INSTRUMENT_ID,
  requestedAt: TIME,
  executeBefore: TIME,
  inputHoldingCids: listOf(CONTRACT_ID),
  meta: METADATA,
});
const TRANSFER_RESULT = recordOf(transferModule('TransferInstructionResult'), {
  output: variantOf(transferModule('TransferInstructionResult_Output'), () => ({
    TransferInstructionResult_Pending: recordOf(
      transferModule('TransferInstructionResult_Output.TransferInstructionResult_Pending'),
      { transferInstructionCid: CONTRACT_ID },
    ),
    TransferInstructionResult_Completed: recordOf(
      transferModule('TransferInstructionResult_Output.TransferInstructionResult_Completed'),
      { receiverHoldingCids: listOf(CONTRACT_ID) },
    ),
    TransferInstructionResult_Failed: UNIT,
  })),
  senderChangeCids: listOf(CONTRACT_ID),
  meta: METADATA,
});

const VIEWS: Fields = {
  'Splice.Api.Token.HoldingV1:Holding': recordOf(holdingModule('HoldingView'), {
    owner: PARTY,
    instrumentId: INSTRUMENT_ID,
    amount: NUMERIC,
    lock: optionalOf(
      recordOf(holdingModule('Lock'), {
        holders: listOf(PARTY),
        expiresAt: optionalOf(TIME),
        expiresAfter: optionalOf(GUESS),
        context: optionalOf(TEXT),
      }),
    ),
    meta: METADATA,
  }),
  'Splice.Api.Token.TransferInstructionV1:TransferInstruction': recordOf(transferModule('TransferInstructionView'), {
    originalInstructionCid: optionalOf(CONTRACT_ID),
    transfer: TRANSFER,
    status: variantOf(transferModule('TransferInstructionStatus'), () => ({
      TransferPendingReceiverAcceptance: UNIT,
      TransferPendingInternalWorkflow: recordOf(
        transferModule('TransferInstructionStatus.TransferPendingInternalWorkflow'),
        { pendingActions: genMapOf(PARTY, TEXT) },
      ),
    })),
    meta: METADATA,
  }),
};

/** Types of `splice-amulet` with the package id that the capture shows. */
function amuletTypes(packageId: string): {
  readonly creates: Fields;
  readonly choices: Readonly<Record<string, readonly [LfType, LfType]>>;
} {
  const amuletModule = at(packageId, 'Splice.Amulet');
  const rules = at(packageId, 'Splice.AmuletRules');
  const fees = at(packageId, 'Splice.Fees');
  const round = recordOf(at(packageId, 'Splice.Types')('Round'), { number: INT });
  const amulet = recordOf(amuletModule('Amulet'), {
    dso: PARTY,
    owner: PARTY,
    amount: recordOf(fees('ExpiringAmount'), {
      initialAmount: NUMERIC,
      createdAt: round,
      ratePerRound: recordOf(fees('RatePerRound'), { rate: NUMERIC }),
    }),
  });
  const lock = recordOf(at(packageId, 'Splice.Expiry')('TimeLock'), {
    holders: listOf(PARTY),
    expiresAt: TIME,
    optContext: optionalOf(TEXT),
  });
  const transferContext = recordOf(rules('TransferContext'), {
    openMiningRound: CONTRACT_ID,
    issuingMiningRounds: genMapOf(round, CONTRACT_ID),
    validatorRights: genMapOf(PARTY, CONTRACT_ID),
    featuredAppRight: optionalOf(CONTRACT_ID),
  });
  const transferInput = variantOf(rules('TransferInput'), () => ({
    InputAmulet: CONTRACT_ID,
    InputLockedAmulet: CONTRACT_ID,
  }));
  const summary = recordOf(rules('TransferSummary'), {
    inputAppRewardAmount: NUMERIC,
    inputValidatorRewardAmount: NUMERIC,
    inputSvRewardAmount: NUMERIC,
    inputAmuletAmount: NUMERIC,
    balanceChanges: genMapOf(
      PARTY,
      recordOf(rules('BalanceChange'), {
        changeToInitialAmountAsOfRoundZero: NUMERIC,
        changeToHoldingFeesRate: NUMERIC,
      }),
    ),
    holdingFees: NUMERIC,
    outputFees: listOf(NUMERIC),
    senderChangeFee: NUMERIC,
    senderChangeAmount: NUMERIC,
    amuletPrice: NUMERIC,
    inputValidatorFaucetAmount: optionalOf(NUMERIC),
    inputUnclaimedActivityRecordAmount: optionalOf(NUMERIC),
  });
  const transferResult = recordOf(rules('TransferResult'), {
    round,
    summary,
    createdAmulets: listOf(
      variantOf(rules('CreatedAmulet'), () => ({
        TransferResultAmulet: CONTRACT_ID,
        TransferResultLockedAmulet: CONTRACT_ID,
      })),
    ),
    senderChangeAmulet: optionalOf(CONTRACT_ID),
    meta: optionalOf(METADATA),
  });
  const amuletSum = recordOf(amuletModule('AmuletCreateSummary'), { amulet: CONTRACT_ID, amuletPrice: NUMERIC, round });
  const dsoAnd = (entity: string, fields: Fields): LfType => recordOf(amuletModule(entity), { dso: PARTY, ...fields });
  return {
    creates: {
      'Splice.Amulet:Amulet': amulet,
      'Splice.Amulet:LockedAmulet': recordOf(amuletModule('LockedAmulet'), { amulet, lock }),
      'Splice.Amulet:ValidatorRewardCoupon': dsoAnd('ValidatorRewardCoupon', { user: PARTY, amount: NUMERIC, round }),
      'Splice.Amulet:AppRewardCoupon': dsoAnd('AppRewardCoupon', {
        provider: PARTY,
        featured: BOOL,
        amount: NUMERIC,
        round,
        beneficiary: optionalOf(PARTY),
      }),
      'Splice.AmuletTransferInstruction:AmuletTransferInstruction': recordOf(
        at(packageId, 'Splice.AmuletTransferInstruction')('AmuletTransferInstruction'),
        { lockedAmulet: CONTRACT_ID, transfer: TRANSFER },
      ),
    },
    choices: {
      TransferPreapproval_Send: [
        recordOf(rules('TransferPreapproval_Send'), {
          context: recordOf(rules('PaymentTransferContext'), { amuletRules: CONTRACT_ID, context: transferContext }),
          inputs: listOf(transferInput),
          amount: NUMERIC,
          sender: PARTY,
          description: optionalOf(TEXT),
        }),
        recordOf(rules('TransferPreapproval_SendResult'), { result: transferResult, meta: optionalOf(METADATA) }),
      ],
      AmuletRules_Transfer: [
        recordOf(rules('AmuletRules_Transfer'), {
          transfer: recordOf(rules('Transfer'), {
            sender: PARTY,
            provider: PARTY,
            inputs: listOf(transferInput),
            outputs: listOf(
              recordOf(rules('TransferOutput'), {
                receiver: PARTY,
                receiverFeeRatio: NUMERIC,
                amount: NUMERIC,
                lock: optionalOf(lock),
              }),
            ),
            beneficiaries: optionalOf(GUESS),
          }),
          context: transferContext,
          expectedDso: optionalOf(PARTY),
        }),
        transferResult,
      ],
      LockedAmulet_Unlock: [
        recordOf(amuletModule('LockedAmulet_Unlock'), { openRoundCid: CONTRACT_ID }),
        recordOf(amuletModule('LockedAmulet_UnlockResult'), { amuletSum, meta: optionalOf(METADATA) }),
      ],
    },
  };
}

const STANDARD_CHOICES: Readonly<Record<string, readonly [LfType, LfType]>> = Object.fromEntries(
  ['Accept', 'Reject', 'Withdraw'].map((name) => [
    `TransferInstruction_${name}`,
    [recordOf(transferModule(`TransferInstruction_${name}`), { extraArgs: EXTRA_ARGS }), TRANSFER_RESULT],
  ]),
);

/** Argument types of the standard's choices, which commands and registry requests are read with. */
export const COMMAND_ARGUMENTS: Readonly<Record<string, LfType>> = {
  TransferFactory_Transfer: recordOf(transferModule('TransferFactory_Transfer'), {
    expectedAdmin: PARTY,
    transfer: TRANSFER,
    extraArgs: EXTRA_ARGS,
  }),
  ...Object.fromEntries(
    ['Accept', 'Reject', 'Withdraw'].map((name) => [
      `TransferInstruction_${name}`,
      recordOf(transferModule(`TransferInstruction_${name}`), { extraArgs: EXTRA_ARGS }),
    ]),
  ),
  TransferInstruction_Update: recordOf(transferModule('TransferInstruction_Update'), {
    extraActors: listOf(PARTY),
    extraArgs: EXTRA_ARGS,
  }),
};

const nameOf = ({ moduleName, entityName }: Identifier): string => `${moduleName}:${entityName}`;

export function createType(templateId: Identifier): LfType {
  return amuletTypes(templateId.packageId).creates[nameOf(templateId)] ?? GUESS;
}

export function viewType(interfaceId: Identifier): LfType {
  return VIEWS[nameOf(interfaceId)] ?? GUESS;
}

/** @returns the types of argument and result. */
export function choiceTypes(templateId: Identifier, choice: string): readonly [argument: LfType, result: LfType] {
  if (choice === 'Archive') {
    const archive = { packageId: ARCHIVE_PACKAGE, moduleName: 'DA.Internal.Template', entityName: 'Archive' };
    return [recordOf(archive, {}), UNIT];
  }
  return STANDARD_CHOICES[choice] ?? amuletTypes(templateId.packageId).choices[choice] ?? [GUESS, GUESS];
}

const ARCHIVE_PACKAGE = '9e70a8b3510d617f8a136213f33d6a903a10ca0eeec76bb06ba55d1ed9680f69';

/** V2's event log, as far as Canton Coin writes it: an admin tells each account what it did to its holdings. */
import type { Choice, InterfaceImplementation, Package } from '../daml/template.ts';
import {
  contractId,
  type DamlRecord,
  decimal,
  type Identifier,
  identifier,
  list,
  optionalField,
  party,
  partyField,
  record,
  recordField,
  recordValue,
  text,
} from '../daml/value.ts';
import { extraArgs, type InstrumentId, type Metadata, metadata } from './standard.ts';
import { account } from './standard-v2.ts';

const PACKAGE = '5c1097a9bad0af4bcfe6d3fb0fe55112d3d11f18eae57ddfb14c20836fee226c';
const MODULE = 'Splice.Api.Token.TransferEventsV2';

export const EVENT_LOG: Identifier = identifier(PACKAGE, MODULE, 'EventLog');

/** Known to nodes that also run the newer Canton Coin package. */
export const EVENT_LOG_PACKAGES: readonly Package[] = [
  {
    packageName: 'splice-api-token-transfer-events-v2',
    packageId: PACKAGE,
    interfaces: [`${MODULE}:EventLog`],
    templates: [],
  },
];

type LegSide = {
  readonly side: 'SenderSide' | 'ReceiverSide';
  readonly otherParty: string;
  readonly amountUnits: bigint;
  readonly meta: Metadata;
};

/** Argument of V2's `EventLog_HoldingsChange`: one account's view of one change. */
export function holdingsChangeArgument(change: {
  readonly instrumentId: InstrumentId;
  readonly owner: string;
  readonly inputCids: readonly string[];
  readonly outputCids: readonly string[];
  readonly legs: readonly LegSide[];
}): DamlRecord {
  const type = (entity: string): Identifier => identifier(PACKAGE, MODULE, entity);
  const legs = change.legs.map(({ side, otherParty, amountUnits, meta }) =>
    recordValue(
      record(type('TransferLegSide'), {
        transferLegId: text('leg0'),
        side: { sum: { $case: 'enum', value: { enumId: type('TransferSide'), constructor: side } } },
        otherside: account(otherParty),
        amount: decimal(amountUnits),
        instrumentId: text(change.instrumentId.id),
        meta: metadata(meta),
      }),
    ),
  );
  return record(type('EventLog_HoldingsChange'), {
    admin: party(change.instrumentId.admin),
    account: account(change.owner),
    inputHoldingCids: list(change.inputCids.map(contractId)),
    transferLegSides: list(legs),
    outputHoldingCids: list(change.outputCids.map(contractId)),
    observers: list([party(change.owner)]),
    extraArgs: extraArgs(new Map()),
  });
}

/** The choice itself: by the admin, seen by the account's owner. */
export const holdingsChangeChoice: Choice = {
  interfaceId: EVENT_LOG,
  consuming: false,
  controllers: (_contract, argument) => [partyField(argument, 'admin')],
  observers: (_contract, argument) => {
    const owner = optionalField(recordField(argument, 'account'), 'owner');
    return owner?.sum?.$case === 'party' ? [owner.sum.value] : [];
  },
  run: () =>
    recordValue(
      record(identifier(PACKAGE, MODULE, 'EventLog_HoldingsChangeResult'), {
        meta: metadata(new Map()),
      }),
    ),
};

export const eventLogInterface = (admin: (args: DamlRecord) => string): InterfaceImplementation => ({
  interfaceId: EVENT_LOG,
  view: (args) =>
    record(identifier(PACKAGE, MODULE, 'EventLogView'), {
      admin: party(admin(args)),
      meta: metadata(new Map()),
    }),
});

/**
 * The DSO's right to remove holdings whose value the accumulated holding fee has eaten up. The simulated network does not compute that value:
 * whoever asks for the expiry of a holding is believed.
 */
import { shownDecimal } from '../daml/decimal.ts';
import type { Choice, Scope } from '../daml/template.ts';
import {
  type DamlRecord,
  decimal,
  party,
  partyField,
  record,
  recordField,
  recordValue,
  type Value,
} from '../daml/value.ts';
import {
  AMULET_PACKAGE_NAME,
  amuletAmount,
  amuletType,
  type Generation,
  optionalMetadata,
  reportHoldingsChange,
  round,
} from './amulet-contracts.ts';
import { META, metaValues } from './standard.ts';

type Holding = 'Amulet' | 'LockedAmulet';

/** What the DSO exercises on a holding of that template. */
export function expiryChoiceName(holding: Holding, generation: Generation): string {
  return `${holding === 'Amulet' ? 'Amulet_Expire' : 'LockedAmulet_ExpireAmulet'}${generation === 'old' ? '' : 'V2'}`;
}

export function expiryChoice(holding: Holding, generation: Generation): Readonly<Record<string, Choice>> {
  const amuletOf = (args: DamlRecord): DamlRecord => (holding === 'Amulet' ? args : recordField(args, 'amulet'));
  return {
    [expiryChoiceName(holding, generation)]: {
      consuming: true,
      controllers: ({ createArguments }) => [partyField(amuletOf(createArguments), 'dso')],
      run: (scope, { contractId, createArguments }) =>
        expire(scope, generation, holding, contractId, amuletOf(createArguments)),
    },
  };
}

function expire(scope: Scope, generation: Generation, holding: Holding, cid: string, amulet: DamlRecord): Value {
  const dso = partyField(amulet, 'dso');
  const owner = partyField(amulet, 'owner');
  if (generation === 'new') {
    const module = 'Splice.AmuletEventLog';
    const log = record(amuletType(generation, module, 'AmuletEventLog'), { dso: party(dso) });
    const logCid = scope.create(scope.template(AMULET_PACKAGE_NAME, module, 'AmuletEventLog'), log);
    reportHoldingsChange(scope, logCid, { dso, owner, inputCids: [cid], outputCids: [], legs: [] });
    scope.archive(logCid);
  }
  const type = (entity: string) => amuletType(generation, 'Splice.Amulet', entity);
  return recordValue(
    record(type(holding === 'Amulet' ? 'Amulet_ExpireResult' : 'LockedAmulet_ExpireAmuletResult'), {
      expireSum: recordValue(
        record(type('AmuletExpireSummary'), {
          owner: party(owner),
          round: round(generation),
          changeToInitialAmountAsOfRoundZero: decimal(-amuletAmount(amulet)),
          changeToHoldingFeesRate: decimal(0n),
        }),
      ),
      meta: optionalMetadata(
        generation,
        metaValues({ [META.txKind]: 'expire-dust', [META.burned]: shownDecimal(amuletAmount(amulet)) }),
      ),
    }),
  );
}

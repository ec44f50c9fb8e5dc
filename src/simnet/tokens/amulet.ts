/** The Canton-Coin-like instrument `Amulet` of the DSO: its two package generations and its registry. */
import { ARCHIVE_ARGUMENT } from '../daml/interpreter.ts';
import type { Package } from '../daml/template.ts';
import {
  contractIdOf,
  type DamlRecord,
  type Identifier,
  party,
  partyField,
  record,
  recordField,
  type Value,
} from '../daml/value.ts';
import {
  AMULET_ID,
  AMULET_PACKAGE_ID,
  AMULET_PACKAGE_NAME,
  amuletContracts,
  amuletType,
  type Generation,
  ownerExpireLock,
  round,
} from './amulet-contracts.ts';
import { expiryChoice, expiryChoiceName } from './amulet-expiry.ts';
import { FACTORY_MODULE, factoryArguments, factoryTemplate, preapprovalTemplate } from './amulet-factory.ts';
import { instructionTemplate } from './amulet-offers.ts';
import { createPreapprovals, WALLET_PACKAGE } from './amulet-preapprovals.ts';
import {
  AMULET_RULES_MODULE,
  amuletRulesArguments,
  amuletRulesTemplate,
  buyTrafficArgument,
  tapArgument,
} from './amulet-rules.ts';
import { type ChoiceContext, contextBool, contextCid } from './standard.ts';
import type { Token, TokenLedger } from './token.ts';

export type AmuletOptions = {
  readonly dso: string;
  /** Provider of preapprovals: a validator's operator. */
  readonly provider: string;
  /** Burned by each transfer of the older package, units of 10⁻¹⁰; today's networks burn nothing. */
  readonly createFeeUnits: bigint;
};

function amuletPackage(generation: Generation): Package {
  return {
    packageId: AMULET_PACKAGE_ID[generation],
    packageName: AMULET_PACKAGE_NAME,
    packageVersion: generation === 'old' ? '0.1.14' : '0.1.21',
    interfaces: [],
    templates: [
      ...amuletContracts(generation, (holding) => expiryChoice(holding, generation)),
      amuletRulesTemplate(generation),
      preapprovalTemplate(generation),
      factoryTemplate(generation),
      instructionTemplate(generation),
    ],
  };
}

type Installed = {
  readonly factory: string;
  readonly amuletRules: string;
  readonly openRound: string;
  readonly configState: string;
};

export function createAmulet({ dso, provider, createFeeUnits }: AmuletOptions): Token {
  const preapprovals = createPreapprovals({ dso, provider });
  let nowMicros = (): bigint => 0n;
  let installed: Installed = { factory: '', amuletRules: '', openRound: '', configState: '' };

  const create = (
    ledger: TokenLedger,
    generation: Generation,
    moduleName: string,
    entityName: string,
    createArguments: DamlRecord,
  ): string => {
    const template = ledger.template(AMULET_PACKAGE_NAME, moduleName, entityName, generation);
    const [created] = ledger.submit(
      { commands: [{ kind: 'create', template, createArguments }], actAs: [dso] },
      generation,
    );
    return created === undefined ? '' : contractIdOf(created);
  };
  /** What transfers refer to and the DSO replaces from time to time. */
  const createRound = (ledger: TokenLedger): Pick<Installed, 'openRound' | 'configState'> => {
    const openRound = record(amuletType('old', 'Splice.Round', 'OpenMiningRound'), {
      dso: party(dso),
      round: round('old'),
    });
    const configId = amuletType('new', 'Splice.ExternalPartyConfigState', 'ExternalPartyConfigState');
    return {
      openRound: create(ledger, 'old', 'Splice.Round', 'OpenMiningRound', openRound),
      configState: create(
        ledger,
        'new',
        'Splice.ExternalPartyConfigState',
        'ExternalPartyConfigState',
        record(configId, { dso: party(dso) }),
      ),
    };
  };
  const context = (): Map<string, Value> =>
    new Map([
      ['amulet-rules', contextCid(installed.amuletRules)],
      ['open-round', contextCid(installed.openRound)],
      ['external-party-config-state', contextCid(installed.configState)],
    ]);

  return {
    name: 'amulet',
    instrumentId: { admin: dso, id: AMULET_ID },
    packages: [amuletPackage('old'), amuletPackage('new'), WALLET_PACKAGE],
    install: (ledger) => {
      nowMicros = ledger.nowMicros;
      const rules = amuletRulesArguments('old', dso, createFeeUnits);
      installed = {
        amuletRules: create(ledger, 'old', AMULET_RULES_MODULE, 'AmuletRules', rules),
        factory: create(ledger, 'old', FACTORY_MODULE, 'ExternalPartyAmuletRules', factoryArguments('old', dso)),
        ...createRound(ledger),
      };
    },
    rollRound: (ledger) => {
      for (const contractId of [installed.openRound, installed.configState]) {
        const archive = {
          kind: 'exercise',
          contractId,
          choice: 'Archive',
          argument: record(ARCHIVE_ARGUMENT, {}),
        } as const;
        ledger.submit({ commands: [archive], actAs: [dso] }, 'new');
      }
      installed = { ...installed, ...createRound(ledger) };
    },
    preapprove: preapprovals.preapprove,
    preapprovals,
    planTransfer: ({ sender, receiver }, { asOffer }) => {
      const preapproval = preapprovals.current(receiver, nowMicros());
      const base = { factoryCid: installed.factory, context: context() };
      if (sender === receiver) return { ...base, kind: 'self' };
      if (preapproval === undefined || asOffer) return { ...base, kind: 'offer' };
      return {
        ...base,
        kind: 'direct',
        context: new Map([...base.context, ['transfer-preapproval', contextCid(preapproval)]]),
      };
    },
    instructionContext: (): ChoiceContext => new Map([...context(), ['expire-lock', contextBool(true)]]),
    mint: (_ledger, owner, amountUnits, generation) => ({
      commands: [
        {
          kind: 'exercise',
          contractId: installed.amuletRules,
          choice: 'AmuletRules_DevNet_Tap',
          argument: tapArgument(generation, owner, amountUnits, installed.openRound),
        },
      ],
      actAs: [owner],
    }),
    expireDust: ({ contractId, templateId }, generation) => {
      const choice = expiryChoiceName(isLocked(templateId) ? 'LockedAmulet' : 'Amulet', generation);
      const argument = record(amuletType(generation, 'Splice.Amulet', choice), {});
      return { commands: [{ kind: 'exercise', contractId, choice, argument }], actAs: [dso] };
    },
    releaseLock: ({ contractId, createArguments }, generation) => {
      const choice = ownerExpireLock(generation);
      const argument = record(amuletType(generation, 'Splice.Amulet', choice), {});
      const owner = partyField(recordField(createArguments, 'amulet'), 'owner');
      return { commands: [{ kind: 'exercise', contractId, choice, argument }], actAs: [owner] };
    },
    burn: (owner, inputCids, amountUnits, generation) => ({
      commands: [
        {
          kind: 'exercise',
          contractId: installed.amuletRules,
          choice: 'AmuletRules_BuyMemberTraffic',
          argument: buyTrafficArgument(generation, owner, inputCids, amountUnits),
        },
      ],
      actAs: [owner],
    }),
  };
}

function isLocked({ entityName }: Identifier): boolean {
  return entityName === 'LockedAmulet';
}

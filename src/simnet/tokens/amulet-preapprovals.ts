/**
 * Canton Coin's transfer preapprovals over their life: proposed by the receiver, accepted, renewed or cancelled by the provider, and over when their time is. The provider's automation is
 * told when to act; nothing here renews by itself.
 */
import type { Package, Template } from '../daml/template.ts';
import {
  contractId,
  contractIdOf,
  type DamlRecord,
  identifier,
  party,
  partyField,
  record,
  recordValue,
  time,
  timeField,
  unit,
} from '../daml/value.ts';
import { packageId } from '../ledger/ids.ts';
import { AMULET_PACKAGE_NAME, type Generation } from './amulet-contracts.ts';
import { preapprovalArguments } from './amulet-factory.ts';
import { AMULET_RULES_MODULE } from './amulet-rules.ts';
import type { Preapprovals } from './token.ts';

const WALLET_PACKAGE_NAME = 'splice-wallet';
const WALLET_PACKAGE_ID = packageId('splice-wallet-0.1.21');
const PROPOSAL_MODULE = 'Splice.Wallet.TransferPreapproval';
const PROPOSAL = 'TransferPreapprovalProposal';

/** Preapprovals of the simulated network outlive any test that does not say otherwise. */
const LIFE_MICROS = 10n * 365n * 24n * 3_600n * 1_000_000n;

const typeOf = (entity: string) => identifier(WALLET_PACKAGE_ID, PROPOSAL_MODULE, entity);

const PROPOSAL_TEMPLATE: Template = {
  templateId: typeOf(PROPOSAL),
  packageName: WALLET_PACKAGE_NAME,
  signatories: (args) => [partyField(args, 'receiver')],
  observers: (args) => [partyField(args, 'provider')],
  interfaces: [],
  choices: {
    TransferPreapprovalProposal_Accept: {
      consuming: true,
      controllers: ({ createArguments }, argument) => [
        partyField(createArguments, 'provider'),
        partyField(argument, 'dso'),
      ],
      run: (scope, { createArguments }, argument) => {
        const template = scope.template(AMULET_PACKAGE_NAME, AMULET_RULES_MODULE, 'TransferPreapproval');
        const created = scope.create(
          template,
          preapprovalArguments('new', {
            dso: partyField(argument, 'dso'),
            receiver: partyField(createArguments, 'receiver'),
            provider: partyField(createArguments, 'provider'),
            validFromMicros: scope.ledgerTimeMicros,
            expiresAtMicros: timeField(argument, 'expiresAt'),
          }),
        );
        const result = typeOf('TransferPreapprovalProposal_AcceptResult');
        return recordValue(record(result, { transferPreapprovalCid: contractId(created) }));
      },
    },
    TransferPreapprovalProposal_Withdraw: {
      consuming: true,
      controllers: ({ createArguments }) => [partyField(createArguments, 'receiver')],
      run: () => unit(),
    },
  },
};

export const WALLET_PACKAGE: Package = {
  packageId: WALLET_PACKAGE_ID,
  packageName: WALLET_PACKAGE_NAME,
  packageVersion: '0.1.21',
  interfaces: [],
  templates: [PROPOSAL_TEMPLATE],
};

type Known = { readonly contractId: string; readonly expiresAtMicros: bigint; readonly generation: Generation };

export function createPreapprovals({
  dso,
  provider,
}: {
  readonly dso: string;
  readonly provider: string;
}): Preapprovals {
  const known = new Map<string, Known>();

  const preapprove: Preapprovals['preapprove'] = (ledger, receiver, generation, lifetimeMicros = LIFE_MICROS) => {
    const now = ledger.nowMicros();
    const expiresAtMicros = now + lifetimeMicros;
    const template = ledger.template(AMULET_PACKAGE_NAME, AMULET_RULES_MODULE, 'TransferPreapproval', generation);
    const createArguments: DamlRecord = preapprovalArguments(generation, {
      dso,
      receiver,
      provider,
      validFromMicros: now,
      expiresAtMicros,
    });
    const commands = [{ kind: 'create', template, createArguments }] as const;
    const [created] = ledger.submit({ commands, actAs: [dso, provider, receiver] }, generation);
    if (created !== undefined) known.set(receiver, { contractId: contractIdOf(created), expiresAtMicros, generation });
  };
  const cancel: Preapprovals['cancel'] = (ledger, receiver) => {
    const current = known.get(receiver);
    if (current === undefined) return;
    known.delete(receiver);
    const argument = record(typeOf('TransferPreapproval_Cancel'), { p: party(provider) });
    const { contractId: id, generation } = current;
    const commands = [{ kind: 'exercise', contractId: id, choice: 'TransferPreapproval_Cancel', argument }] as const;
    ledger.submit({ commands, actAs: [provider] }, generation);
  };

  return {
    preapprove,
    current: (receiver, nowMicros) => {
      const current = known.get(receiver);
      return current !== undefined && nowMicros < current.expiresAtMicros ? current.contractId : undefined;
    },
    renew: (ledger, receiver, lifetimeMicros) => {
      const current = known.get(receiver);
      if (current === undefined) return;
      preapprove(ledger, receiver, current.generation, lifetimeMicros);
      const renewed = known.get(receiver);
      known.set(receiver, current);
      cancel(ledger, receiver);
      if (renewed !== undefined) known.set(receiver, renewed);
    },
    cancel,
    acceptAll: (ledger, contracts, lifetimeMicros = LIFE_MICROS) => {
      const proposals = [...contracts].filter(
        ({ templateId, createArguments }) =>
          templateId.entityName === PROPOSAL && partyField(createArguments, 'provider') === provider,
      );
      for (const { contractId: id, createArguments } of proposals) {
        const expiresAtMicros = ledger.nowMicros() + lifetimeMicros;
        const argument = record(typeOf('TransferPreapprovalProposal_Accept'), {
          dso: party(dso),
          expiresAt: time(expiresAtMicros),
        });
        const choice = 'TransferPreapprovalProposal_Accept';
        const commands = [{ kind: 'exercise', contractId: id, choice, argument }] as const;
        const [result] = ledger.submit({ commands, actAs: [provider, dso] }, 'new');
        const fields = result?.sum?.$case === 'record' ? result.sum.value.fields : [];
        const made = fields.find(({ label }) => label === 'transferPreapprovalCid')?.value?.sum;
        if (made?.$case !== 'contractId') continue;
        const receiver = partyField(createArguments, 'receiver');
        known.set(receiver, { contractId: made.value, expiresAtMicros, generation: 'new' });
      }
      return proposals.length;
    },
  };
}

/** The registry of a simulated token, asked in process: the same answers that it gives over HTTP. */
import type { OfferRegistry } from '../../src/deposits/acceptance/offer-plan.ts';
import type { DisclosedContract } from '../../src/gen/com/daml/ledger/api/v2/commands.ts';
import type { Value } from '../../src/gen/com/daml/ledger/api/v2/value.ts';
import { createdEventBlob } from '../../src/simnet/ledger/projection.ts';
import { instructionOf } from '../../src/simnet/network-commands.ts';
import { contextBool } from '../../src/simnet/tokens/standard.ts';
import type { Instrument } from '../../src/tokens/transfer-record.ts';
import type { Registry } from '../../src/withdrawals/transfer-plan.ts';
import type { TestNetwork } from './network.ts';

function contractIdsIn(value: Value): string[] {
  const { sum } = value;
  if (sum?.$case === 'contractId') return [sum.value];
  return sum?.$case === 'variant' && sum.value.value !== undefined ? contractIdsIn(sum.value.value) : [];
}

function disclose(network: TestNetwork['network'], contractIds: readonly string[]): DisclosedContract[] {
  return [...network.ledger.contracts.active()]
    .filter(({ contractId }) => contractIds.includes(contractId))
    .map((contract) => ({
      templateId: contract.templateId,
      contractId: contract.contractId,
      createdEventBlob: createdEventBlob(contract),
      synchronizerId: network.synchronizerId,
    }));
}

/** For whatever is to become of an offer: what each of those asks who accepts offers, gives them back, or takes them back. */
export type SimnetRegistry = Registry & {
  instructionContext(
    instrument: Instrument,
    instructionId: string,
    choice: 'accept' | 'reject' | 'withdraw',
  ): ReturnType<OfferRegistry['instructionContext']>;
};

export function registryOf({ network }: Pick<TestNetwork, 'network'>): SimnetRegistry {
  return {
    transferFactory: async (instrument, transfer) => {
      const token = network.tokens.find(
        ({ instrumentId }) => instrumentId.admin === instrument.admin && instrumentId.id === instrument.id,
      );
      if (token === undefined) throw new Error('No such token.');
      const plan = token.planTransfer(
        {
          sender: transfer.sender,
          receiver: transfer.receiver,
          amountUnits: transfer.amount,
          instrumentId: transfer.instrument,
          requestedAtMicros: transfer.requestedAt,
          executeBeforeMicros: transfer.executeBefore,
          inputHoldingCids: [...transfer.inputHoldings],
          meta: transfer.meta,
        },
        { generation: 'new', asOffer: false },
      );
      const named = [...plan.context.values()].flatMap(contractIdsIn);
      return {
        factoryId: plan.factoryCid,
        transferKind: plan.kind,
        choiceContext: plan.context,
        disclosedContracts: disclose(network, [plan.factoryCid, ...named]),
      };
    },
    instructionContext: async (instrument, instructionId, asked) => {
      const token = network.tokens.find(
        ({ instrumentId }) => instrumentId.admin === instrument.admin && instrumentId.id === instrument.id,
      );
      const known = network.ledger.contracts.find(instructionId);
      const transfer = known?.isActive === true ? instructionOf(known.contract) : undefined;
      if (token === undefined || transfer === undefined) throw new Error('No such instruction.');
      const choice = ({ accept: 'Accept', reject: 'Reject', withdraw: 'Withdraw' } as const)[asked];
      const choiceContext = token.instructionContext(choice, 'new');
      const isBacked = transfer.inputHoldingCids.every((id) => network.ledger.contracts.find(id)?.isActive === true);
      if (!isBacked && choice === 'Accept') throw new Error('What is offered is gone.');
      if (!isBacked && choiceContext.has('expire-lock')) {
        return { choiceContext: new Map([['expire-lock', contextBool(false)]]), disclosedContracts: [] };
      }
      const named = [...choiceContext.values()].flatMap(contractIdsIn);
      return { choiceContext, disclosedContracts: disclose(network, [...named, ...transfer.inputHoldingCids]) };
    },
  };
}

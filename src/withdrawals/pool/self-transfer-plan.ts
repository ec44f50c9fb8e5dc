/** What a try of a self-transfer exercises: the registry's factory, with ourselves as the receiver. The signer's rules are those of any direct transfer: exactly the inputs, exactly the amount and the rest, both ours. */
import { TRANSFER_CHOICE, transferArgument } from '../../custody/transfer-argument.ts';
import { RetryableError } from '../../env/errors.ts';
import type { Plan, Planner } from '../../submissions/submission-plan.ts';
import { interfaceReference, TRANSFER_FACTORY_V1 } from '../../tokens/standard.ts';
import { transferOfJson } from '../../tokens/transfer-record.ts';
import { intentOf, type TransferPlanOptions } from '../transfer-plan.ts';

const NOT_TAKEN = 'SELF_TRANSFER_NOT_TAKEN';
const NOT_TAKEN_TEXT = 'The registry does not say that it takes a transfer to oneself.';

export function planSelfTransfers({ registry, implementationOf }: TransferPlanOptions): Planner {
  return async (attempt): Promise<Plan> => {
    const factory = await registry.transferFactory(attempt.instrument, transferOfJson(attempt.transfer));
    if (factory.transferKind === 'offer') {
      return {
        kind: 'CANNOT',
        failure: { code: NOT_TAKEN, detail: NOT_TAKEN_TEXT },
        later: new RetryableError(NOT_TAKEN, NOT_TAKEN_TEXT),
      };
    }
    const intent = intentOf(implementationOf(attempt.instrument), attempt, factory);
    return {
      kind: 'EXERCISE',
      intent,
      contractId: factory.factoryId,
      interfaceId: interfaceReference(TRANSFER_FACTORY_V1),
      choice: TRANSFER_CHOICE,
      argument: transferArgument(intent),
      disclosedContracts: factory.disclosedContracts,
    };
  };
}

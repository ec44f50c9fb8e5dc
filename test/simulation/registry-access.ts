/** The registries as a process reaches them. What they say wrong costs time and nothing else. */
import type { Network } from '../../src/simnet/network.ts';
import { registryOf, type SimnetRegistry } from '../support/simnet-registry.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { Marks } from './marks.ts';
import type { Life } from './process.ts';

export type RegistryAccessOptions = {
  readonly network: Network;
  readonly faults: FaultPlan;
  readonly marks: Marks;
  /** Before the first answer: something is about to be signed. */
  readonly onBegun: () => void;
};

export function registryFor(life: Life, options: RegistryAccessOptions): SimnetRegistry {
  const { network, faults, marks, onBegun } = options;
  const registry = registryOf({ network });
  return {
    transferFactory: async (instrument, transfer) =>
      await life.calls.call('TransferFactory', async () => {
        onBegun();
        const answer = await registry.transferFactory(instrument, transfer);
        if (faults.strikes('registrySaysOffer')) {
          marks.add('registry says offer');
          return { ...answer, transferKind: 'offer' };
        }
        if (faults.strikes('registryLies')) {
          marks.add('registry names another factory');
          return { ...answer, factoryId: `${answer.factoryId.slice(0, -2)}00` };
        }
        return answer;
      }),
    instructionContext: async (...asked) =>
      await life.calls.call('InstructionContext', async () => await registry.instructionContext(...asked)),
  };
}

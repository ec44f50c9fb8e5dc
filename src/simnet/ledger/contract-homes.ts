/** Which synchronizer each contract is on. Almost all are on the first one; only those that were ever moved are remembered here. */
import { cantonError } from './canton-error.ts';

export type ContractHome = {
  readonly synchronizerId: string;
  /** How often it was assigned. */
  readonly counter: bigint;
};

export type ContractHomes = {
  /** @returns undefined while the contract is between two synchronizers. */
  of(contractId: string): ContractHome | undefined;
  /** @param home undefined: it has left, and arrived nowhere. */
  move(contractId: string, home: ContractHome | undefined): void;
  /** Contracts that are born where a transaction is sequenced. */
  born(contractIds: readonly string[], synchronizerId: string): void;
  /**
   * Where a transaction over these inputs is sequenced; on the first synchronizer without inputs.
   * @throws CantonError when they are on several ones, or under way.
   */
  common(inputs: readonly string[]): string;
};

export function createContractHomes(firstSynchronizerId: string): ContractHomes {
  const moved = new Map<string, ContractHome | 'under way'>();
  const first: ContractHome = { synchronizerId: firstSynchronizerId, counter: 0n };
  const of = (contractId: string): ContractHome | undefined => {
    const home = moved.get(contractId) ?? first;
    return home === 'under way' ? undefined : home;
  };
  return {
    of,
    move: (contractId, home) => {
      moved.set(contractId, home ?? 'under way');
    },
    born: (contractIds, synchronizerId) => {
      if (synchronizerId === firstSynchronizerId) return;
      for (const contractId of contractIds) moved.set(contractId, { synchronizerId, counter: 0n });
    },
    common: (inputs) => {
      if (moved.size === 0) return firstSynchronizerId;
      const homes = new Set(inputs.map((contractId) => of(contractId)?.synchronizerId));
      const [only = firstSynchronizerId] = homes;
      if (homes.size <= 1 && !homes.has(undefined)) return only;
      throw cantonError({
        code: 'NO_SYNCHRONIZER_FOR_SUBMISSION',
        category: 'invalidState',
        text: 'No valid synchronizer for submission found: the contracts are on different synchronizers, or being reassigned',
        resources: inputs
          .filter((contractId) => of(contractId)?.synchronizerId !== firstSynchronizerId)
          .map((name) => ({ type: 'CONTRACT_ID', name })),
        definiteAnswer: true,
      });
    },
  };
}

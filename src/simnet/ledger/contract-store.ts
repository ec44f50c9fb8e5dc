/** Every contract of the network and whether it is still active: what the interpreter reads and what confirms a commit. */
import { type Contract, stakeholdersOf } from '../daml/contract.ts';
import type { ContractLookup } from '../daml/interpreter.ts';
import { cantonError } from './canton-error.ts';

export type ContractStore = ContractLookup & {
  /**
   * Archives and creates at once.
   * @throws CantonError LOCAL_VERDICT_INACTIVE_CONTRACTS when an input was archived since it was read; nothing is changed.
   */
  apply(change: {
    readonly inputs: readonly string[];
    readonly consumed: readonly string[];
    readonly created: readonly Contract[];
  }): void;
  /** In order of creation. */
  active(): IterableIterator<Contract>;
  /** Those that the party is a stakeholder of, in order of creation. */
  activeOf(stakeholder: string): Iterable<Contract>;
};

/** Archived contracts to remember, so that spending one again is told from an id that never was. */
const ARCHIVED_MAX = 50_000;

export function createContractStore(): ContractStore {
  const active = new Map<string, Contract>();
  const archived = new Map<string, Contract>();
  const byStakeholder = new Map<string, Map<string, Contract>>();
  return {
    find: (contractId) => {
      const live = active.get(contractId);
      if (live !== undefined) return { contract: live, isActive: true };
      const gone = archived.get(contractId);
      return gone && { contract: gone, isActive: false };
    },
    apply: ({ inputs, consumed, created }) => {
      const inactive = inputs.filter((contractId) => !active.has(contractId));
      if (inactive.length > 0) {
        throw cantonError({
          code: 'LOCAL_VERDICT_INACTIVE_CONTRACTS',
          category: 'resourceMissing',
          text: `Rejected transaction is referring to inactive contracts ${inactive.join(', ')}`,
          resources: inactive.map((name) => ({ type: 'CONTRACT_ID', name })),
          definiteAnswer: true,
        });
      }
      for (const contract of created) {
        active.set(contract.contractId, contract);
        for (const party of stakeholdersOf(contract)) {
          const known = byStakeholder.get(party) ?? new Map<string, Contract>();
          byStakeholder.set(party, known.set(contract.contractId, contract));
        }
      }
      for (const contractId of consumed) {
        const contract = active.get(contractId);
        if (contract === undefined) continue;
        active.delete(contractId);
        for (const party of stakeholdersOf(contract)) byStakeholder.get(party)?.delete(contractId);
        archived.set(contractId, contract);
      }
      for (const oldest of archived.keys()) {
        if (archived.size <= ARCHIVED_MAX) break;
        archived.delete(oldest);
      }
    },
    active: () => active.values(),
    activeOf: (stakeholder) => byStakeholder.get(stakeholder)?.values() ?? [],
  };
}

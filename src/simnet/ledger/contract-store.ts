/** Every contract of the network and whether it is still active: what the interpreter reads and what confirms a commit. */
import { type Contract, stakeholdersOf } from '../daml/contract.ts';
import type { ContractLookup } from '../daml/interpreter.ts';
import { cantonError } from './canton-error.ts';

export type ContractChange = {
  readonly inputs: readonly string[];
  readonly consumed: readonly string[];
  readonly created: readonly Contract[];
};

/** Holds what a transaction consumes from its sequencing until its verdict. */
export type ContractLock = { release(): void };

export type ContractStore = ContractLookup & {
  /**
   * Archives and creates at once.
   * @param lock the transaction's own, if it took one; the caller releases it.
   * @throws CantonError as {@link lock}; nothing is changed.
   */
  apply(change: ContractChange, lock?: ContractLock): void;
  /**
   * Keeps others from using what the transaction consumes.
   * @throws CantonError LOCAL_VERDICT_INACTIVE_CONTRACTS when an input was archived since it was read, LOCAL_VERDICT_LOCKED_CONTRACTS
   * when one is being spent by a transaction without verdict; nothing is locked.
   */
  lock(change: ContractChange): ContractLock;
  /** Takes back what {@link apply} did: what was archived is active again, what was created never was. */
  revert(change: { readonly consumed: readonly string[]; readonly created: readonly Contract[] }): void;
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
  const locks = new Map<string, ContractLock>();

  const requireUsable = (inputs: readonly string[], own: ContractLock | undefined): void => {
    const inactive = inputs.filter((contractId) => !active.has(contractId));
    if (inactive.length > 0) throw unusable('LOCAL_VERDICT_INACTIVE_CONTRACTS', 'inactive', inactive);
    const locked = inputs.filter((contractId) => {
      const lock = locks.get(contractId);
      return lock !== undefined && lock !== own;
    });
    if (locked.length > 0) throw unusable('LOCAL_VERDICT_LOCKED_CONTRACTS', 'locked', locked);
  };

  const add = (contract: Contract): void => {
    active.set(contract.contractId, contract);
    for (const party of stakeholdersOf(contract)) {
      const known = byStakeholder.get(party) ?? new Map<string, Contract>();
      byStakeholder.set(party, known.set(contract.contractId, contract));
    }
  };
  const remove = (contractId: string): Contract | undefined => {
    const contract = active.get(contractId);
    if (contract === undefined) return undefined;
    active.delete(contractId);
    for (const party of stakeholdersOf(contract)) byStakeholder.get(party)?.delete(contractId);
    return contract;
  };

  return {
    find: (contractId) => {
      const live = active.get(contractId);
      if (live !== undefined) return { contract: live, isActive: true };
      const gone = archived.get(contractId);
      return gone && { contract: gone, isActive: false };
    },
    lock: ({ inputs, consumed }) => {
      requireUsable(inputs, undefined);
      const taken = consumed.filter((contractId) => active.has(contractId));
      const lock: ContractLock = {
        release: () => {
          for (const contractId of taken) if (locks.get(contractId) === lock) locks.delete(contractId);
        },
      };
      for (const contractId of taken) locks.set(contractId, lock);
      return lock;
    },
    apply: ({ inputs, consumed, created }, lock) => {
      requireUsable(inputs, lock);
      for (const contract of created) add(contract);
      for (const contractId of consumed) {
        const contract = remove(contractId);
        if (contract !== undefined) archived.set(contractId, contract);
      }
      for (const oldest of archived.keys()) {
        if (archived.size <= ARCHIVED_MAX) break;
        archived.delete(oldest);
      }
    },
    revert: ({ consumed, created }) => {
      for (const contractId of consumed) {
        const contract = archived.get(contractId);
        if (contract !== undefined) add(contract);
        archived.delete(contractId);
      }
      for (const { contractId } of created) remove(contractId);
    },
    active: () => active.values(),
    activeOf: (stakeholder) => byStakeholder.get(stakeholder)?.values() ?? [],
  };
}

function unusable(code: string, what: 'inactive' | 'locked', contractIds: readonly string[]): Error {
  return cantonError({
    code,
    category: what === 'locked' ? 'contention' : 'resourceMissing',
    text: `Rejected transaction is referring to ${what} contracts ${contractIds.join(', ')}`,
    resources: contractIds.map((name) => ({ type: 'CONTRACT_ID', name })),
    definiteAnswer: true,
  });
}

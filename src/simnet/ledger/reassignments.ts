/**
 * Moving contracts between synchronizers: it leaves one (unassigned), is nowhere for a while, and arrives at the other (assigned) with a
 * higher counter. Two updates, each with the record time of its own synchronizer.
 */
import { PermanentError } from '../../env/errors.ts';
import { stakeholdersOf } from '../daml/contract.ts';
import type { CommittedNode, ReassignmentFacts } from '../daml/tree.ts';
import type { ContractHomes } from './contract-homes.ts';
import type { ContractStore } from './contract-store.ts';
import { sha256Hex, updateId } from './ids.ts';
import type { Committed, Receiver } from './ledger.ts';
import type { Synchronizer } from './synchronizer.ts';
import type { LedgerUpdate } from './update.ts';

export type UnassignRequest = {
  readonly contractId: string;
  /** Name of the synchronizer. */
  readonly target: string;
  /** A stakeholder, by hint or id; the first signatory when left out. */
  readonly submitter?: string;
};

export type Unassigned = Committed & { readonly reassignmentId: string };

export type Reassignments = {
  /** @throws PermanentError for a contract that is not active, or not where it could leave from. */
  unassign(request: UnassignRequest): Unassigned;
  /** @throws PermanentError SIMNET_UNKNOWN_REASSIGNMENT, also for one that has arrived. */
  assign(request: { readonly reassignmentId: string }): Committed;
  /** Both, one after the other. */
  reassign(request: UnassignRequest): Unassigned;
};

export function createReassignments({
  contracts,
  homes,
  participants,
  synchronizer,
  party,
  publish,
}: {
  readonly contracts: ContractStore;
  readonly homes: ContractHomes;
  readonly participants: readonly Receiver[];
  /** By name or by id. */
  readonly synchronizer: (nameOrId: string) => Synchronizer;
  readonly party: (nameOrId: string) => string;
  readonly publish: (update: LedgerUpdate, to: readonly Receiver[]) => Committed;
}): Reassignments {
  const underWay = new Map<string, ReassignmentFacts>();
  let count = 0;

  const publishOne = (kind: 'unassign' | 'assign', facts: ReassignmentFacts, at: Synchronizer): Committed => {
    const witnesses = stakeholdersOf(facts.contract);
    const node: CommittedNode = { kind, nodeId: 0, lastDescendantNodeId: 0, witnesses, ...facts };
    const recordTimeMicros = at.sequence();
    return publish(
      {
        updateId: updateId(sha256Hex(facts.reassignmentId, kind)),
        synchronizerId: at.synchronizerId,
        recordTimeMicros,
        effectiveAtMicros: recordTimeMicros,
        nodes: [node],
        traceContext: { traceparent: undefined, tracestate: undefined },
        externalTransactionHash: undefined,
        submission: undefined,
        recorded: undefined,
      },
      participants,
    );
  };

  const unassign = ({ contractId, target, submitter }: UnassignRequest): Unassigned => {
    const known = contracts.find(contractId);
    const home = homes.of(contractId);
    const to = synchronizer(target);
    if (known?.isActive !== true || home === undefined || home.synchronizerId === to.synchronizerId) {
      throw new PermanentError('SIMNET_CANNOT_REASSIGN', 'The contract is not active, under way, or there already.', {
        contractId,
        target,
      });
    }
    const { contract } = known;
    count += 1;
    const facts: ReassignmentFacts = {
      contract,
      reassignmentId: `00${sha256Hex(contractId, String(home.counter), String(count))}`,
      source: home.synchronizerId,
      target: to.synchronizerId,
      submitter: submitter === undefined ? (contract.signatories[0] ?? '') : party(submitter),
      counter: home.counter + 1n,
    };
    const committed = publishOne('unassign', facts, synchronizer(home.synchronizerId));
    homes.move(contractId, undefined);
    underWay.set(facts.reassignmentId, facts);
    return { ...committed, reassignmentId: facts.reassignmentId };
  };
  const assign = ({ reassignmentId }: { readonly reassignmentId: string }): Committed => {
    const facts = underWay.get(reassignmentId);
    if (facts === undefined) {
      throw new PermanentError('SIMNET_UNKNOWN_REASSIGNMENT', 'No contract is under way with that id.', {
        reassignmentId,
      });
    }
    const committed = publishOne('assign', facts, synchronizer(facts.target));
    homes.move(facts.contract.contractId, { synchronizerId: facts.target, counter: facts.counter });
    underWay.delete(reassignmentId);
    return committed;
  };

  return {
    unassign,
    assign,
    reassign: (request) => {
      const left = unassign(request);
      assign(left);
      return left;
    },
  };
}

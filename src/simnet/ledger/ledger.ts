/**
 * The network below the tokens: synchronizer, contracts, participants, and the two steps of every change. `interpret` shows what commands
 * would do; `commit` makes a shown transaction happen everywhere at once. A prepared submission is the first without the second.
 */
import type { Clock } from '../../env/clock.ts';
import type { Random } from '../../env/random.ts';
import { type Command, type ContractLookup, interpret as interpretCommands } from '../daml/interpreter.ts';
import type { Template } from '../daml/template.ts';
import { flatten, type TransactionTree } from '../daml/tree.ts';
import type { Value } from '../daml/value.ts';
import type { ContractHomes } from './contract-homes.ts';
import { type ContractLock, type ContractStore, createContractStore } from './contract-store.ts';
import { sha256Hex, updateId } from './ids.ts';
import type { PackageDirectory } from './package-directory.ts';
import type { Synchronizer } from './synchronizer.ts';
import type { LedgerUpdate } from './update.ts';

/** Bytes that a node of a transaction costs in traffic, roughly what real transfers show. */
const TRAFFIC_PER_NODE = 1_200n;
/** Bytes of a confirmation response; what real nodes report. */
export const RESPONSE_TRAFFIC = 651n;

const FORK_MAX = 200; // Transactions to remember: longer forks are no test.

export type InterpretRequest = {
  readonly commands: readonly Command[];
  readonly actAs: readonly string[];
  /** Package ids that are taken where several versions are known. */
  readonly preferredPackages: ReadonlySet<string>;
  /** Now when left out. */
  readonly ledgerTimeMicros?: bigint;
  /** 64 hex digits, from which contract ids follow; drawn when left out. */
  readonly transactionSeed?: string;
  /** What the transaction may read; all contracts of the network when left out. */
  readonly contracts?: ContractLookup;
};

/** A transaction that has not happened. Its contract ids are final, its record time is not known yet. */
export type Interpreted = {
  readonly tree: TransactionTree;
  /** Per command. */
  readonly results: readonly Value[];
  readonly transactionSeed: string;
};

/** What the ledger knows of a participant: where updates go. */
export type Receiver = {
  readonly name: string;
  readonly participantId: string;
  /** @returns the offset it got, or undefined when none of its parties sees it. */
  append(update: LedgerUpdate): bigint | undefined;
};

export type CommitRequest = {
  /** The participant that submits; only its readers are told command id, workflow id and cost. */
  readonly via: Pick<Receiver, 'participantId'>;
  readonly commandId?: string;
  readonly workflowId?: string;
  /** The hash that an external party signed. */
  readonly externalTransactionHash?: Uint8Array;
  /** W3C trace context of the submission; left out: one is made. */
  readonly traceParent?: string;
  /** Taken when it was sequenced. */
  readonly lock?: ContractLock;
  /** Looks at the record time it would get. Throws to reject: then it never happens. */
  readonly confirm?: (recordTimeMicros: bigint) => void;
};

export type Committed = {
  readonly updateId: string;
  readonly recordTimeMicros: bigint;
  /** By participant name; absent where no party hosted there sees any of it. */
  readonly offsets: Readonly<Record<string, bigint>>;
};

export type Ledger = {
  readonly contracts: ContractStore;
  /** @throws CantonError as at interpretation. */
  interpret(request: InterpretRequest): Interpreted;
  /** @returns the id of the synchronizer that its contracts are on. @throws CantonError when they are on several. */
  synchronizerFor(tree: Pick<TransactionTree, 'inputs'>): string;
  /** @throws CantonError LOCAL_VERDICT_INACTIVE_CONTRACTS, LOCAL_VERDICT_LOCKED_CONTRACTS when an input is gone or in use by now. */
  commit(interpreted: Interpreted, request: CommitRequest): Committed;
  /** Puts an update into the history of the participants that host a witness; contracts of the network are not touched. */
  publish(update: LedgerUpdate, to: readonly Receiver[]): Committed;
  /**
   * Forgets the newest transactions, as a network does that goes on from an earlier point. Contracts are as before them.
   * @returns their update ids, newest first; participants have to be rolled back by the caller.
   */
  fork(count: number): readonly string[];
  template(
    preferredPackages: ReadonlySet<string>,
  ): (packageName: string, moduleName: string, entityName: string) => Template;
};

/** @returns bytes of traffic that the confirmation request takes. */
export function trafficCost(tree: TransactionTree): bigint {
  return TRAFFIC_PER_NODE * BigInt(flatten(tree).length);
}

export type LedgerOptions = {
  readonly homes: ContractHomes;
  /** By id. */
  readonly clock: Clock;
  readonly random: Random;
  readonly synchronizer: (synchronizerId: string) => Synchronizer;
  readonly packages: PackageDirectory;
  readonly participants: readonly Receiver[];
};

export function createLedger({ clock, random, homes, synchronizer, packages, participants }: LedgerOptions): Ledger {
  const contracts = createContractStore();
  const recent: { readonly updateId: string; readonly tree: TransactionTree }[] = [];
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

  const publish = (update: LedgerUpdate, to: readonly Receiver[]): Committed => {
    const offsets = to.flatMap((participant) => {
      const offset = participant.append(update);
      return offset === undefined ? [] : [[participant.name, offset] as const];
    });
    return {
      updateId: update.updateId,
      recordTimeMicros: update.recordTimeMicros,
      offsets: Object.fromEntries(offsets),
    };
  };

  return {
    contracts,
    synchronizerFor: ({ inputs }) => homes.common(inputs),
    fork: (count) => {
      const lost = count === 0 ? [] : recent.splice(-count).reverse();
      for (const { tree } of lost) contracts.revert(tree);
      return lost.map(({ updateId: id }) => id);
    },
    template: packages.template,
    publish,
    interpret: ({ commands, actAs, preferredPackages, ...given }) => {
      const transactionSeed = given.transactionSeed ?? hex(random.bytes(32));
      const { results, ...tree } = interpretCommands({
        commands,
        actAs,
        ledgerTimeMicros: given.ledgerTimeMicros ?? clock.nowMicros(),
        transactionSeed,
        contracts: given.contracts ?? contracts,
        template: packages.template(preferredPackages),
      });
      homes.common(tree.inputs);
      return { tree, results, transactionSeed };
    },
    commit: ({ tree, transactionSeed }, request) => {
      const { via, commandId, workflowId, externalTransactionHash, lock, confirm } = request;
      const trace = sha256Hex(transactionSeed, 'trace');
      const traceparent = request.traceParent ?? `00-${trace.slice(0, 32)}-${trace.slice(32, 48)}-01`;
      const synchronizerId = homes.common(tree.inputs);
      const recordTimeMicros = synchronizer(synchronizerId).sequence();
      confirm?.(recordTimeMicros);
      contracts.apply(tree, lock);
      homes.born(
        tree.created.map(({ contractId }) => contractId),
        synchronizerId,
      );
      recent.push({ updateId: updateId(transactionSeed), tree });
      if (recent.length > FORK_MAX) recent.shift();
      const nodes = flatten(tree);
      return publish(
        {
          updateId: updateId(transactionSeed),
          synchronizerId,
          recordTimeMicros,
          effectiveAtMicros: tree.ledgerTimeMicros,
          nodes,
          traceContext: { traceparent, tracestate: undefined },
          externalTransactionHash,
          submission: {
            participantId: via.participantId,
            actAs: tree.actAs,
            commandId: commandId ?? sha256Hex(transactionSeed, 'command').slice(0, 32),
            workflowId: workflowId ?? '',
            trafficCost: trafficCost(tree),
          },
          recorded: undefined,
        },
        participants,
      );
    },
  };
}

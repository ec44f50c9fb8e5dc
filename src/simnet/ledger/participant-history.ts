/**
 * One participant's copy of the ledger: its own offsets over the updates that concern its parties, its active contracts, its pruning
 * point. Nothing here waits; readers that want to wait for more ask `changed`.
 */
import { PermanentError } from '../../env/errors.ts';
import type { Random } from '../../env/random.ts';
import { type Contract, stakeholdersOf } from '../daml/contract.ts';
import type { ReassignmentFacts } from '../daml/tree.ts';
import { type LedgerUpdate, type ParticipantUpdate, placeNodes } from './update.ts';

/** A contract with the events of its life at this participant. */
export type StoredContract = {
  readonly contract: Contract;
  readonly synchronizerId: string;
  readonly created: { readonly offset: bigint; readonly nodeId: number };
  readonly archived: { readonly offset: bigint; readonly nodeId: number } | undefined;
  /** In order: how it left and came between synchronizers. */
  readonly moves: readonly StoredMove[];
  readonly isRecorded: boolean;
};

export type StoredMove = ReassignmentFacts & {
  readonly kind: 'unassign' | 'assign';
  readonly offset: bigint;
  readonly nodeId: number;
};

export type ParticipantHistory = {
  isHosted(party: string): boolean;
  hostedParties(): readonly string[];
  host(party: string): void;
  /** 0 on an empty participant. */
  ledgerEnd(): bigint;
  /** Up to and including; 0 when nothing is pruned. */
  prunedUpTo(): bigint;
  /**
   * @param numbering `at`: the offset it should get, if the ledger has not passed it; `not`: an offset that it must not get.
   * @returns the offset the update got here, or undefined when no hosted party sees any of it.
   */
  append(update: LedgerUpdate, numbering?: Numbering): bigint | undefined;
  /** Uses up an offset for something that is no update, such as the completion of a rejected command. */
  takeOffset(): bigint;
  /** Uses up `count` offsets at once. @returns the ledger end. */
  skipOffsets(count: bigint): bigint;
  /**
   * Forgets everything after `offset`: the ledger ends there, what was archived since is active again.
   * @returns what was forgotten, in order, with the offsets it had.
   * @throws PermanentError SIMNET_CANNOT_GO_BACK when `offset` is pruned, negative or past the end; nothing is changed.
   */
  rollBack(offset: bigint): readonly ParticipantUpdate[];
  /** @returns the offset that leaves `count` updates after it: of the update before them, or where history begins. */
  offsetBefore(count: number): bigint;
  /** From now on, the smallest and the largest distance between neighbouring offsets. */
  setSteps(steps: OffsetSteps): void;
  /** @returns the newest update; undefined when there is none, or all are pruned. */
  newest(): ParticipantUpdate | undefined;
  /** @returns the first update after `offset`. */
  next(offset: bigint): ParticipantUpdate | undefined;
  /** @returns the newest update at or before `offset`. */
  upTo(offset: bigint): ParticipantUpdate | undefined;
  atOffset(offset: bigint): ParticipantUpdate | undefined;
  byUpdateId(updateId: string): ParticipantUpdate | undefined;
  contract(contractId: string): StoredContract | undefined;
  /** In order of creation. */
  activeAt(offset: bigint): IterableIterator<StoredContract>;
  /** Forgets updates up to and including `offset`, and contracts archived by them. @throws PermanentError past the ledger end. */
  prune(offset: bigint): void;
  /** Resolves at the next append, or when `signal` aborts. */
  changed(signal: AbortSignal): Promise<void>;
};

export type Numbering = { readonly at: bigint } | { readonly not: bigint };

export type OffsetSteps = { readonly min: number; readonly max: number };

export type HistoryOptions = {
  readonly random: Random;
  /** Offset of the update before the first: histories of different nodes start at different places. */
  readonly firstOffset: bigint;
  /** Largest distance between neighbouring updates; 1 leaves no gaps. */
  readonly offsetStepMax: number;
  /** Numbers of node ids left out between neighbours, so that ids differ from those of other participants. */
  readonly nodeIdGap: number;
  /** Updates to keep; older ones are pruned as they come, as by a pruning schedule. Undefined: all, some 30 kB of memory each. */
  readonly updatesMax: number | undefined;
};

/** Pruning looks at every contract, so it is done for a share of the updates at a time. */
const PRUNE_SHARE = 0.1;

export function createParticipantHistory(options: HistoryOptions): ParticipantHistory {
  const { random, firstOffset, offsetStepMax, nodeIdGap, updatesMax } = options;
  const parties = new Set<string>();
  const contracts = new Map<string, StoredContract>();
  const byUpdateId = new Map<string, ParticipantUpdate>();
  const waiters = new Set<() => void>();
  let updates: ParticipantUpdate[] = [];
  let ledgerEnd = 0n;
  let prunedUpTo = 0n;
  let steps: OffsetSteps = { min: 1, max: offsetStepMax };
  const isHosted = (party: string): boolean => parties.has(party);

  /** Index of the first update past `offset`. */
  const indexAfter = (offset: bigint): number => {
    let low = 0;
    let high = updates.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const candidate = updates[middle];
      if (candidate !== undefined && candidate.offset <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  };

  const store = ({ update, offset, places }: ParticipantUpdate): void => {
    for (const node of update.nodes) {
      const nodeId = places.get(node.nodeId)?.nodeId;
      if (nodeId === undefined) continue;
      if (node.kind === 'create' && stakeholdersOf(node.contract).some(isHosted)) {
        contracts.set(node.contract.contractId, {
          contract: node.contract,
          synchronizerId: update.synchronizerId,
          created: { offset, nodeId },
          archived: undefined,
          moves: [],
          isRecorded: update.recorded !== undefined,
        });
      } else if (node.kind === 'unassign' || node.kind === 'assign') {
        const { contract } = node;
        const known: StoredContract = contracts.get(contract.contractId) ?? {
          contract,
          synchronizerId: node.target,
          created: { offset, nodeId },
          archived: undefined,
          moves: [],
          isRecorded: false,
        };
        contracts.set(contract.contractId, { ...known, moves: [...known.moves, { ...node, offset, nodeId }] });
      } else if (node.kind === 'exercise' && node.consuming) {
        const known = contracts.get(node.contractId);
        if (known !== undefined) contracts.set(node.contractId, { ...known, archived: { offset, nodeId } });
      }
    }
  };

  const prune = (offset: bigint): void => {
    if (offset > ledgerEnd) {
      throw new PermanentError('SIMNET_CANNOT_PRUNE', 'There is no history up to that offset.', { offset, ledgerEnd });
    }
    if (offset <= prunedUpTo) return;
    prunedUpTo = offset;
    const kept = indexAfter(offset);
    for (const { update } of updates.slice(0, kept)) byUpdateId.delete(update.updateId);
    updates = updates.slice(kept);
    for (const [contractId, { archived }] of contracts) {
      if (archived !== undefined && archived.offset <= offset) contracts.delete(contractId);
    }
  };

  const advance = (): bigint => {
    const step = BigInt(steps.min + Math.floor(random.next() * (steps.max - steps.min + 1)));
    ledgerEnd = (ledgerEnd === 0n ? firstOffset : ledgerEnd) + step;
    return ledgerEnd;
  };
  const wakeAll = (): void => {
    for (const wake of [...waiters]) wake();
  };

  return {
    isHosted,
    hostedParties: () => [...parties].sort(),
    host: (party) => {
      parties.add(party);
    },
    ledgerEnd: () => ledgerEnd,
    prunedUpTo: () => prunedUpTo,
    append: (update, numbering) => {
      if (!update.nodes.some(({ witnesses }) => witnesses.some(isHosted))) return undefined;
      if (numbering !== undefined && 'at' in numbering && numbering.at > ledgerEnd) ledgerEnd = numbering.at;
      else advance();
      if (numbering !== undefined && 'not' in numbering && numbering.not === ledgerEnd) ledgerEnd += 1n;
      const offset = ledgerEnd;
      const stored: ParticipantUpdate = { offset, update, places: placeNodes(update, isHosted, nodeIdGap) };
      updates.push(stored);
      byUpdateId.set(update.updateId, stored);
      store(stored);
      if (updatesMax !== undefined && updates.length > updatesMax * (1 + PRUNE_SHARE)) {
        const oldest = updates[updates.length - updatesMax - 1];
        if (oldest !== undefined) prune(oldest.offset);
      }
      wakeAll();
      return offset;
    },
    takeOffset: () => {
      const offset = advance();
      wakeAll();
      return offset;
    },
    skipOffsets: (count) => {
      ledgerEnd = (ledgerEnd === 0n ? firstOffset : ledgerEnd) + count;
      wakeAll();
      return ledgerEnd;
    },
    rollBack: (offset) => {
      if (offset < prunedUpTo || offset < 0n || offset > ledgerEnd) {
        throw new PermanentError('SIMNET_CANNOT_GO_BACK', 'The participant has no state at that offset.', {
          offset,
          prunedUpTo,
          ledgerEnd,
        });
      }
      const kept = indexAfter(offset);
      const forgotten = updates.slice(kept);
      updates = updates.slice(0, kept);
      for (const { update } of forgotten) byUpdateId.delete(update.updateId);
      for (const [contractId, stored] of contracts) {
        if (stored.created.offset > offset) {
          contracts.delete(contractId);
          continue;
        }
        const archived = stored.archived !== undefined && stored.archived.offset > offset ? undefined : stored.archived;
        const moves = stored.moves.filter((move) => move.offset <= offset);
        if (archived !== stored.archived || moves.length < stored.moves.length)
          contracts.set(contractId, { ...stored, archived, moves });
      }
      ledgerEnd = offset;
      return forgotten;
    },
    offsetBefore: (count) => updates[updates.length - count - 1]?.offset ?? prunedUpTo,
    setSteps: (changed) => {
      steps = changed;
    },
    newest: () => updates.at(-1),
    next: (offset) => updates[indexAfter(offset)],
    upTo: (offset) => updates[indexAfter(offset) - 1],
    atOffset: (offset) => {
      const found = updates[indexAfter(offset - 1n)];
      return found?.offset === offset ? found : undefined;
    },
    byUpdateId: (updateId) => byUpdateId.get(updateId),
    contract: (contractId) => contracts.get(contractId),
    activeAt: function* (offset) {
      for (const stored of contracts.values()) {
        const isArchived = stored.archived !== undefined && stored.archived.offset <= offset;
        if (stored.created.offset <= offset && !isArchived) yield stored;
      }
    },
    prune,
    changed: (signal) =>
      new Promise((resolve) => {
        if (signal.aborted) {
          resolve();
          return;
        }
        const wake = (): void => {
          waiters.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        waiters.add(wake);
        signal.addEventListener('abort', wake);
      }),
  };
}

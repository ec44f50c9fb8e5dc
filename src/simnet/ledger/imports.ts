/**
 * Contracts that come to a participant without ever having been sequenced: imports of active contracts at a migration, the replication of a
 * party to a further participant, repairs. They look like transactions without a command, of creates alone, at a time that no synchronizer
 * has given; several may have the same.
 */
import type { Contract } from '../daml/contract.ts';
import { stakeholdersOf } from '../daml/contract.ts';
import { sha256Hex, updateId } from './ids.ts';
import type { LedgerUpdate } from './update.ts';

/** 0001-01-01T00:00:00Z: what imports of a hard migration have for a record time. */
export const IMPORT_TIME_MICROS = -62_135_596_800_000_000n;

const CONTRACTS_PER_UPDATE = 10;

export type ImportOptions = {
  /** Tells imports of the same contracts apart: ids follow from it. */
  readonly seed: string;
  readonly synchronizerId: string;
  readonly contracts: readonly Contract[];
  readonly recordTimeMicros?: bigint;
  readonly contractsPerUpdate?: number;
};

export function importUpdates(options: ImportOptions): readonly LedgerUpdate[] {
  const { seed, synchronizerId, contracts, recordTimeMicros = IMPORT_TIME_MICROS } = options;
  const size = options.contractsPerUpdate ?? CONTRACTS_PER_UPDATE;
  const updates: LedgerUpdate[] = [];
  for (let start = 0; start < contracts.length; start += size) {
    const transactionSeed = sha256Hex(seed, 'import', String(start));
    updates.push({
      updateId: updateId(transactionSeed),
      synchronizerId,
      recordTimeMicros,
      effectiveAtMicros: recordTimeMicros,
      nodes: contracts.slice(start, start + size).map((contract, nodeId) => ({
        kind: 'create',
        nodeId,
        lastDescendantNodeId: nodeId,
        witnesses: stakeholdersOf(contract),
        contract,
      })),
      traceContext: { traceparent: undefined, tracestate: undefined },
      externalTransactionHash: undefined,
      submission: undefined,
      recorded: undefined,
    });
  }
  return updates;
}

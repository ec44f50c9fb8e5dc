/** A network under a virtual clock, and short forms of what readers ask for and see. */
import type { Clock } from '../../src/env/clock.ts';
import type { Logger } from '../../src/env/logger.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import type { Event } from '../../src/gen/com/daml/ledger/api/v2/event.ts';
import type { Transaction } from '../../src/gen/com/daml/ledger/api/v2/transaction.ts';
import { TransactionShape, UpdateFormat } from '../../src/gen/com/daml/ledger/api/v2/transaction_filter.ts';
import { GetUpdatesRequest } from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import type { Record as DamlRecord, Value } from '../../src/gen/com/daml/ledger/api/v2/value.ts';
import type { Participant } from '../../src/simnet/ledger/participant.ts';
import { createNetwork, type Network, type NetworkOptions } from '../../src/simnet/network.ts';

export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};

export type VirtualClock = Clock & {
  /** Moves time on and wakes whoever waited for it. */
  advance(durationMs: number): Promise<void>;
};

/** 2026-01-01T00:00:00Z, in microseconds. */
export const START_MICROS = 1_767_225_600_000_000n;

export function createVirtualClock(startMicros: bigint = START_MICROS): VirtualClock {
  let now = startMicros;
  const sleepers = new Set<{ readonly due: bigint; readonly wake: () => void }>();
  return {
    nowMicros: () => now,
    sleep: (durationMs, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) {
          resolve();
          return;
        }
        const sleeper = {
          due: now + BigInt(Math.trunc(durationMs * 1_000)),
          wake: () => {
            sleepers.delete(sleeper);
            signal?.removeEventListener('abort', sleeper.wake);
            resolve();
          },
        };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', sleeper.wake);
      }),
    advance: async (durationMs) => {
      now += BigInt(Math.trunc(durationMs * 1_000));
      for (const sleeper of [...sleepers]) if (sleeper.due <= now) sleeper.wake();
      // Lets what was woken run before the test goes on.
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

export function startNetwork(options: Partial<NetworkOptions> = {}): { network: Network; clock: VirtualClock } {
  const clock = createVirtualClock();
  return { clock, network: createNetwork({ seed: 'test', clock, random: createSeededRandom(1), ...options }) };
}

type FormatOptions = {
  readonly shape?: 'ledgerEffects' | 'acsDelta';
  readonly interfaces?: readonly string[];
  readonly wildcard?: boolean;
  readonly verbose?: boolean;
  readonly blob?: boolean;
};

const INTERFACES: Readonly<Record<string, readonly [string, string, string]>> = {
  Holding: ['#splice-api-token-holding-v1', 'Splice.Api.Token.HoldingV1', 'Holding'],
  TransferInstruction: [
    '#splice-api-token-transfer-instruction-v1',
    'Splice.Api.Token.TransferInstructionV1',
    'TransferInstruction',
  ],
  HoldingV2: ['#splice-api-token-holding-v2', 'Splice.Api.Token.HoldingV2', 'Holding'],
  TransferInstructionV2: [
    '#splice-api-token-transfer-instruction-v2',
    'Splice.Api.Token.TransferInstructionV2',
    'TransferInstruction',
  ],
  TransferFactory: [
    '#splice-api-token-transfer-instruction-v1',
    'Splice.Api.Token.TransferInstructionV1',
    'TransferFactory',
  ],
};

/** What a wallet subscribes to: everything its parties see, with the views of the token standard. */
export function formatFor(parties: readonly string[], options: FormatOptions = {}): UpdateFormat {
  const {
    shape = 'ledgerEffects',
    interfaces = ['Holding', 'TransferInstruction', 'TransferFactory'],
    wildcard = true,
    verbose = true,
    blob = false,
  } = options;
  const cumulative = [
    ...(wildcard
      ? [{ identifierFilter: { $case: 'wildcardFilter', value: { includeCreatedEventBlob: blob } } } as const]
      : []),
    ...interfaces.map((name) => {
      const [packageId, moduleName, entityName] = INTERFACES[name] ?? ['', '', ''];
      const interfaceId = { packageId, moduleName, entityName };
      return {
        identifierFilter: {
          $case: 'interfaceFilter',
          value: { interfaceId, includeInterfaceView: true, includeCreatedEventBlob: blob },
        },
      } as const;
    }),
  ];
  return UpdateFormat.fromPartial({
    includeTransactions: {
      transactionShape:
        shape === 'acsDelta'
          ? TransactionShape.TRANSACTION_SHAPE_ACS_DELTA
          : TransactionShape.TRANSACTION_SHAPE_LEDGER_EFFECTS,
      eventFormat: { filtersByParty: Object.fromEntries(parties.map((party) => [party, { cumulative }])), verbose },
    },
  });
}

/** Everything between two offsets, as the reader of `parties` sees it. */
export async function transactionsSeen(
  participant: Participant,
  parties: readonly string[],
  options: FormatOptions & { readonly after?: bigint } = {},
): Promise<Transaction[]> {
  const endInclusive = participant.ledgerEnd();
  const beginExclusive = options.after ?? participant.prunedUpTo();
  if (endInclusive === 0n || endInclusive === beginExclusive) return [];
  const request = GetUpdatesRequest.fromPartial({
    beginExclusive,
    endInclusive,
    updateFormat: formatFor(parties, options),
  });
  const transactions: Transaction[] = [];
  for await (const { update } of participant.api.getUpdates(request)) {
    if (update?.$case === 'transaction') transactions.push(update.value);
  }
  return transactions;
}

/** One line per event: node id, kind, subtree end for exercises (`*` consuming), names, and the owner of holdings. */
export function sketch(transaction: Transaction | undefined, network: Network): string[] {
  const hintOf = (id: string): string => [...network.parties()].find(([, party]) => party === id)?.[0] ?? id;
  const ownerOf = (event: Event): string => {
    if (event.event?.$case !== 'created') return '';
    const view = event.event.value.interfaceViews.find(
      ({ interfaceId }) => interfaceId?.entityName === 'Holding',
    )?.viewValue;
    const owner = view?.fields.find(({ label }) => label === 'owner')?.value?.sum;
    return owner?.$case === 'party' ? ` ${hintOf(owner.value)}` : '';
  };
  return (transaction?.events ?? []).map((event) => {
    switch (event.event?.$case) {
      case 'created':
        return `${event.event.value.nodeId} C ${event.event.value.templateId?.entityName}${ownerOf(event)}`;
      case 'archived':
        return `${event.event.value.nodeId} A ${event.event.value.templateId?.entityName}`;
      case 'exercised': {
        const { nodeId, lastDescendantNodeId, consuming, choice, templateId } = event.event.value;
        return `${nodeId}-${lastDescendantNodeId} E${consuming ? '*' : ''} ${choice} ${templateId?.entityName}`;
      }
      default:
        return '?';
    }
  });
}

/** The content of a field of a record, by label. */
export function field(record: DamlRecord | undefined, label: string): Value['sum'] {
  return record?.fields.find((candidate) => candidate.label === label)?.value?.sum;
}

/** The texts of a metadata field of a result, plain or wrapped in an optional. */
export function textMapOf(result: Value['sum'], label: string): ReadonlyMap<string, string> | undefined {
  const found = result?.$case === 'record' ? field(result.value, label) : undefined;
  const meta = found?.$case === 'optional' ? found.value.value?.sum : found;
  const values = meta?.$case === 'record' ? field(meta.value, 'values') : undefined;
  if (values?.$case !== 'textMap') return undefined;
  return new Map(
    values.value.entries.map(({ key, value }) => [key, value?.sum?.$case === 'text' ? value.sum.value : '?']),
  );
}

const DEADLINE_MS = 5_000; // Far longer than anything here takes; a failing condition ends the test with a message instead of its timeout.

/** Waits until `condition` holds. */
export async function waitFor(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('The condition did not come true.');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

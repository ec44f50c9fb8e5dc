/**
 * The views of the token standard's second generation, asked for where the participant has its packages: a filter that names a package a participant does not
 * know fails the call, and a token that has views of the second generation alone would be seen by nobody who does not ask.
 */
import type { CumulativeFilter, EventFormat, UpdateFormat } from '../gen/com/daml/ledger/api/v2/transaction_filter.ts';
import {
  HOLDING_V1,
  HOLDING_V2,
  interfaceReference,
  type StandardInterface,
  TRANSFER_FACTORY_V1,
  TRANSFER_FACTORY_V2,
  TRANSFER_INSTRUCTION_V1,
  TRANSFER_INSTRUCTION_V2,
} from '../tokens/standard.ts';

const GENERATIONS: readonly { readonly first: StandardInterface; readonly second: StandardInterface }[] = [
  { first: HOLDING_V1, second: HOLDING_V2 },
  { first: TRANSFER_FACTORY_V1, second: TRANSFER_FACTORY_V2 },
  { first: TRANSFER_INSTRUCTION_V1, second: TRANSFER_INSTRUCTION_V2 },
];

export type SecondViews = {
  /** Asks anew at the next format: another participant may answer, or this one have learnt of packages. */
  forget(): void;
  /** How many of them a format has. @throws as the formats do. */
  count(): Promise<number>;
  /** Whether the participant has learnt of more than `count` since; false where it does not tell. Of one that knows them all nothing is asked. */
  areMoreThan(count: number): Promise<boolean>;
  /** The format with a filter for the second generation beside each of the first. @throws what `packageIds` throws. */
  eventFormat(format: EventFormat): Promise<EventFormat>;
  updateFormat(format: UpdateFormat): Promise<UpdateFormat>;
};

/** @param packageIds of the packages that the participant knows; asked once until it is forgotten. */
export function createSecondViews(packageIds: () => Promise<readonly string[]>): SecondViews {
  let asked: Promise<readonly StandardInterface[]> | null = null;
  const ask = async (): Promise<readonly StandardInterface[]> => {
    const ids = await packageIds();
    return GENERATIONS.flatMap(({ second }) => (second.packageIds.some((id) => ids.includes(id)) ? [second] : []));
  };
  const known = (): Promise<readonly StandardInterface[]> => {
    asked ??= ask().catch((error: unknown) => {
      asked = null;
      throw error;
    });
    return asked;
  };
  const eventFormat = async (format: EventFormat): Promise<EventFormat> => widened(format, await known());
  return {
    forget: () => {
      asked = null;
    },
    count: async () => (await known()).length,
    areMoreThan: async (count) => {
      if (count === GENERATIONS.length) return false;
      return await ask().then(
        ({ length }) => length > count,
        () => false,
      );
    },
    eventFormat,
    updateFormat: async (format) => {
      const { includeTransactions, includeReassignments } = format;
      return {
        ...format,
        includeTransactions: includeTransactions && {
          ...includeTransactions,
          eventFormat: includeTransactions.eventFormat && (await eventFormat(includeTransactions.eventFormat)),
        },
        includeReassignments: includeReassignments && (await eventFormat(includeReassignments)),
      };
    },
  };
}

function widened(format: EventFormat, known: readonly StandardInterface[]): EventFormat {
  return {
    ...format,
    filtersByParty: Object.fromEntries(
      Object.entries(format.filtersByParty).map(([party, { cumulative, ...rest }]) => [
        party,
        { ...rest, cumulative: cumulative.flatMap((filter) => [filter, ...secondOf(filter, known)]) },
      ]),
    ),
  };
}

function secondOf({ identifierFilter }: CumulativeFilter, known: readonly StandardInterface[]): CumulativeFilter[] {
  if (identifierFilter?.$case !== 'interfaceFilter') return [];
  const { interfaceId } = identifierFilter.value;
  const generation = GENERATIONS.find(({ first }) => {
    const { packageId, entityName } = interfaceReference(first);
    return packageId === interfaceId?.packageId && entityName === interfaceId.entityName;
  });
  if (generation === undefined || !known.includes(generation.second)) return [];
  const value = { ...identifierFilter.value, interfaceId: interfaceReference(generation.second) };
  return [{ identifierFilter: { $case: 'interfaceFilter', value } }];
}

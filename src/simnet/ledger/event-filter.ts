/** What a reader asked for, resolved once per call: which parties, which contracts, and what to compute for them. */
import type { EventFormat, Filters } from '../../gen/com/daml/ledger/api/v2/transaction_filter.ts';
import type { Identifier } from '../daml/value.ts';
import { cantonError } from './canton-error.ts';
import { matches, type PackageDirectory, type Reference } from './package-directory.ts';

/** The part of a contract that filters look at. */
export type Filterable = {
  readonly templateId: Identifier;
  readonly interfaces: readonly { readonly interfaceId: Identifier }[];
};

/** What the filters of the seeing parties ask for, taken together. */
export type Selection = {
  readonly includeBlob: boolean;
  /** Interfaces with a view; also what `implemented_interfaces` is limited to. */
  readonly views: readonly Reference[];
};

export type EventFilter = {
  readonly verbose: boolean;
  /** Those of `parties` that were asked for and are hosted here, sorted. */
  requested(parties: readonly string[]): readonly string[];
  /** @param seenBy requested parties that see the event. @returns undefined when none of their filters wants the contract. */
  select(contract: Filterable, seenBy: readonly string[]): Selection | undefined;
};

type Rule =
  | { readonly kind: 'wildcard'; readonly blob: boolean }
  | { readonly kind: 'template'; readonly reference: Reference; readonly blob: boolean }
  | { readonly kind: 'interface'; readonly reference: Reference; readonly blob: boolean; readonly view: boolean };

/** @throws CantonError for filters that name unknown packages, or nobody. */
export function resolveEventFormat(
  format: EventFormat,
  packages: PackageDirectory,
  isHosted: (party: string) => boolean,
): EventFilter {
  const byParty = new Map(
    Object.entries(format.filtersByParty).map(
      ([party, filters]) => [party, resolveFilters(filters, packages)] as const,
    ),
  );
  const anyParty = format.filtersForAnyParty && resolveFilters(format.filtersForAnyParty, packages);
  if (byParty.size === 0 && anyParty === undefined) {
    throw cantonError({
      code: 'INVALID_ARGUMENT',
      category: 'invalidRequest',
      text: 'The submitted request has invalid arguments: filtersByParty and filtersForAnyParty cannot be empty simultaneously',
    });
  }
  return {
    verbose: format.verbose,
    requested: (parties) =>
      parties.filter((party) => isHosted(party) && (anyParty !== undefined || byParty.has(party))),
    select: (contract, seenBy) => {
      const rules = seenBy
        .flatMap((party) => [...(byParty.get(party) ?? []), ...(anyParty ?? [])])
        .filter((rule) => isWanted(rule, contract));
      if (rules.length === 0) return undefined;
      return {
        includeBlob: rules.some(({ blob }) => blob),
        views: rules.flatMap((rule) => (rule.kind === 'interface' && rule.view ? [rule.reference] : [])),
      };
    },
  };
}

function isWanted(rule: Rule, contract: Filterable): boolean {
  switch (rule.kind) {
    case 'wildcard':
      return true;
    case 'template':
      return matches(rule.reference, contract.templateId);
    case 'interface':
      return contract.interfaces.some(({ interfaceId }) => matches(rule.reference, interfaceId));
  }
}

function resolveFilters(filters: Filters, packages: PackageDirectory): readonly Rule[] {
  if (filters.cumulative.length === 0) return [{ kind: 'wildcard', blob: false }];
  return filters.cumulative.map(({ identifierFilter }) => {
    switch (identifierFilter?.$case) {
      case 'wildcardFilter':
        return { kind: 'wildcard', blob: identifierFilter.value.includeCreatedEventBlob };
      case 'templateFilter': {
        const { templateId, includeCreatedEventBlob } = identifierFilter.value;
        return {
          kind: 'template',
          reference: packages.resolve(given(templateId, 'template_id'), 'template'),
          blob: includeCreatedEventBlob,
        };
      }
      case 'interfaceFilter': {
        const { interfaceId, includeCreatedEventBlob, includeInterfaceView } = identifierFilter.value;
        const reference = packages.resolve(given(interfaceId, 'interface_id'), 'interface');
        return { kind: 'interface', reference, blob: includeCreatedEventBlob, view: includeInterfaceView };
      }
      default:
        // An entry without a filter is read as a wildcard.
        return { kind: 'wildcard', blob: false };
    }
  });
}

function given(id: Identifier | undefined, name: string): Identifier {
  if (id !== undefined) return id;
  throw missingField(name);
}

export function missingField(name: string): Error {
  return cantonError({
    code: 'MISSING_FIELD',
    category: 'invalidRequest',
    text: `The submitted command is missing a mandatory field: ${name}`,
    metadata: { field_name: name },
  });
}

/**
 * Z3: the limiter is neither gone around nor used against us. Documents as an attacker would write them, by hand and by dice: each is looked through in work that grows with its words, and none is
 * measured as less than what a naive counter finds that follows every spread.
 */
import fc from 'fast-check';
import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  Kind,
  parse,
  type SelectionSetNode,
  specifiedRules,
  TypeInfo,
  ValidationContext,
  type ValidationRule,
  validate,
  visit,
} from 'graphql';
import { describe, expect, test } from 'vitest';
import { API_LIMITS_DEFAULT, type QueryLimits } from '../schema/api-limits.ts';
import { createSchema } from '../schema/index.ts';
import { createOperationValidation } from './operation-limits.ts';
import { createQueryLimitsRule } from './query-limits.ts';

const LIMITS = API_LIMITS_DEFAULT.query;
const TOKENS = 1_000;
/** Far above what any of them takes, on a machine that does much else; what grows by the square of a square takes longer than a lifetime. */
const MS_MAX = 3_000;

const schema = createSchema();
const validateOperation = createOperationValidation(LIMITS);
const repeat = (count: number, text: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => text(index)).join(' ');
const parsed = (text: string): DocumentNode => parse(text, { maxTokens: TOKENS });

/** By the processor, of which others on the machine take none. */
function millisecondsOf(work: () => unknown): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

/** How often the limiter asks for a fragment, beside how often the document spreads one. */
function fragmentLooks(document: DocumentNode): { readonly looks: number; readonly spreads: number } {
  let looks = 0;
  class Counting extends ValidationContext {
    override getFragment(name: string) {
      looks++;
      return super.getFragment(name);
    }
  }
  const context = new Counting(schema, document, new TypeInfo(schema), () => undefined);
  visit(document, createQueryLimitsRule(LIMITS)(context));
  let spreads = 0;
  visit(document, { FragmentSpread: () => void spreads++ });
  return { looks, spreads };
}

const HOSTILE = {
  'fragments that double each other': `{ ...F0 } ${repeat(70, (index) => `fragment F${index} on Query { ...F${index + 1} ...F${index + 1} }`)} fragment F70 on Query { __typename }`,
  'fragments that spread all that follow': `{ ...F0 } ${repeat(24, (index) => `fragment F${index} on Query { __typename ${repeat(24 - index, (next) => `...F${index + next + 1}`)} }`)} fragment F24 on Query { __typename }`,
  'a fragment named __schema': `{ ...__schema } fragment __schema on Query { ${repeat(100, (index) => `...__type${index % 3}`)} } ${repeat(3, (index) => `fragment __type${index} on Query { ${repeat(40, () => 'viewer { name }')} }`)}`,
  'a circle of fragments': `{ ...F0 } ${repeat(120, (index) => `fragment F${index} on Query { ...F${(index + 1) % 120} }`)}`,
  'every fragment in every other': `{ ...F0 } ${repeat(20, (index) => `fragment F${index} on Query { ${repeat(20, (other) => `...F${(index + other) % 20}`)} }`)}`,
  'fields beside their likes': `{ ${repeat(240, () => 'viewer { name }')} }`,
  'likes within likes': `{ ${repeat(12, () => `accounts { nodes { ${repeat(9, () => 'depositAccounts { account { customer } }')} } }`)} }`,
  'likes that differ': `{ ${repeat(85, (index) => `a: account(customer: "${index}") { id }`)} }`,
  'likes in fragments that differ': `{ ${repeat(40, (index) => `...F${index}`)} } ${repeat(40, (index) => `fragment F${index} on Query { a: account(customer: "${index}") { id } b: __typename }`)}`,
  'inline fragments within each other': `{ ${repeat(300, () => '... {')} __typename ${repeat(300, () => '}')} }`,
  'likes below inline fragments': `{ ${repeat(150, () => '... {')} ${repeat(120, () => 'viewer { name }')} ${repeat(150, () => '}')} }`,
  'hundreds of arguments': `{ accounts(${repeat(300, (index) => `x${index}: 1`)}) { nodes { id } } }`,
  'one argument hundreds of times': `{ accounts(${repeat(300, () => 'first: 1')}) { nodes { id } } }`,
  'a list in a list in a list': `{ nodes(ids: ${'['.repeat(450)}"x"${']'.repeat(450)}) { id } }`,
  'many operations': `${repeat(110, (index) => `query Q${index} { ...F }`)} fragment F on Query { ${repeat(60, () => 'viewer { name }')} }`,
  'many operations with many fragments': `${repeat(40, (index) => `query Q${index} { ...F0 }`)} ${repeat(60, (index) => `fragment F${index} on Query { ...F${index + 1} __typename }`)} fragment F60 on Query { __typename }`,
  'variables that nobody declared': `${repeat(30, (index) => `query Q${index} { ...F0 }`)} ${repeat(40, (index) => `fragment F${index} on Query { ...F${index + 1} a${index}: account(customer: $v${index}) { id } }`)} fragment F40 on Query { __typename }`,
  'variables that nobody uses': `query (${repeat(240, (index) => `$v${index}: Int`)}) { __typename }`,
  'names that do not exist': `{ ${repeat(480, (index) => `withdrawl${index}`)} }`,
  'directives in heaps': `{ __typename ${repeat(130, () => '@include(if: true)')} }`,
  'the schema about itself': `{ __schema { types { ${repeat(60, () => 'fields { type { name } }')} } } }`,
} as const;

describe('Z3: a document of a thousand words', () => {
  test.each(Object.entries(HOSTILE))('Z3: %s is looked through in bounded work', (_name, text) => {
    const document = parsed(text);

    const { looks, spreads } = fragmentLooks(document);
    const milliseconds = millisecondsOf(() => validateOperation(schema, document, specifiedRules));

    // Each spread is met in its own place, once for the operation or fragment it stands in and once for the first who spreads that.
    expect(looks).toBeLessThanOrEqual(2 * spreads);
    expect(milliseconds).toBeLessThan(MS_MAX);
  });

  test('Z3: and so is any other that the dice write', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const document = parsed(text);
        const { looks, spreads } = fragmentLooks(document);
        expect(looks).toBeLessThanOrEqual(2 * spreads);
        expect(millisecondsOf(() => validateOperation(schema, document, specifiedRules))).toBeLessThan(MS_MAX);
      }),
      { numRuns: 150, endOnFailure: true },
    );
  }, 120_000);

  test('Z3: what a naive counter finds in it is never more than what is measured', () => {
    let compared = 0;
    let endless = 0;
    fc.assert(
      fc.property(hostile, (text) => {
        const document = parsed(text);
        const found = naively(document);
        if (found === 'ENDLESS') {
          endless++;
          expect(validateOperation(schema, document, specifiedRules).length).toBeGreaterThan(0);
          return;
        }
        compared++;
        for (const [of, max] of Object.entries(MAX_OF)) {
          const count = found[of as keyof Naive];
          if (count > 0) expect(codesOf(document, { [max.key]: count - 1 })).toContain(max.code);
        }
        const isTooMuch = Object.entries(MAX_OF).some(([of, { key }]) => found[of as keyof Naive] > LIMITS[key]);
        if (isTooMuch) expect(validateOperation(schema, document, specifiedRules).length).toBeGreaterThan(0);
      }),
      { numRuns: 200, endOnFailure: true },
    );
    // Neither kind was missing.
    expect(compared).toBeGreaterThan(50);
    expect(endless).toBeGreaterThan(5);
  }, 120_000);
});

/** What of the limits a naive count is held against. */
const MAX_OF = {
  fields: { key: 'fieldsMax', code: 'QUERY_TOO_LARGE' },
  depth: { key: 'depthMax', code: 'QUERY_TOO_DEEP' },
  aliases: { key: 'aliasesMax', code: 'QUERY_TOO_MANY_ALIASES' },
  directives: { key: 'directivesMax', code: 'QUERY_TOO_MANY_DIRECTIVES' },
  width: { key: 'breadthMax', code: 'QUERY_TOO_WIDE' },
  cost: { key: 'costMax', code: 'QUERY_TOO_COSTLY' },
} as const;

const EVERYTHING: QueryLimits = {
  tokensMax: TOKENS,
  depthMax: Number.MAX_SAFE_INTEGER,
  fieldsMax: Number.MAX_SAFE_INTEGER,
  breadthMax: Number.MAX_SAFE_INTEGER,
  aliasesMax: Number.MAX_SAFE_INTEGER,
  directivesMax: Number.MAX_SAFE_INTEGER,
  costMax: Number.MAX_SAFE_INTEGER,
};

function codesOf(document: DocumentNode, limits: Partial<QueryLimits>): unknown[] {
  const rule: ValidationRule = createQueryLimitsRule({ ...EVERYTHING, ...limits });
  return validate(schema, document, [rule], { maxErrors: 1_000 }).map(({ extensions }) => extensions['code']);
}

type Naive = {
  readonly fields: number;
  readonly depth: number;
  readonly aliases: number;
  readonly directives: number;
  readonly width: number;
  readonly cost: number;
};

/** Follows every spread, as execution would; the most that any operation has. `ENDLESS`: it does not end, or not soon. */
function naively(document: DocumentNode): Naive | 'ENDLESS' {
  const fragments = new Map<string, FragmentDefinitionNode>();
  visit(document, { FragmentDefinition: (node) => void fragments.set(node.name.value, node) });
  let steps = 0;

  function count({ selections }: SelectionSetNode): Naive & { readonly own: number } {
    const sum = { fields: 0, depth: 0, aliases: 0, directives: 0, width: 0, cost: 0, own: 0 };
    for (const selection of selections) {
      if (++steps > 50_000) throw new RangeError('Endless.');
      sum.directives += selection.directives?.length ?? 0;
      const set =
        selection.kind === Kind.FRAGMENT_SPREAD
          ? fragments.get(selection.name.value)?.selectionSet
          : selection.selectionSet;
      const below = set === undefined ? null : count(set);
      const isField = selection.kind === Kind.FIELD;
      sum.fields += (isField ? 1 : 0) + (below?.fields ?? 0);
      sum.aliases += (isField && selection.alias !== undefined ? 1 : 0) + (below?.aliases ?? 0);
      sum.directives += below?.directives ?? 0;
      sum.depth = Math.max(sum.depth, (isField ? 1 : 0) + (below?.depth ?? 0));
      sum.cost += isField ? 1 + rowsAskedBy(selection) * (below?.cost ?? 0) : (below?.cost ?? 0);
      sum.own += isField ? 1 : (below?.own ?? 0);
      sum.width = Math.max(sum.width, below?.width ?? 0);
    }
    return { ...sum, width: Math.max(sum.width, sum.own) };
  }

  let most: Naive = { fields: 0, depth: 0, aliases: 0, directives: 0, width: 0, cost: 0 };
  try {
    for (const definition of document.definitions) {
      if (definition.kind !== Kind.OPERATION_DEFINITION) continue;
      const found = count(definition.selectionSet);
      most = {
        fields: Math.max(most.fields, found.fields),
        depth: Math.max(most.depth, found.depth),
        aliases: Math.max(most.aliases, found.aliases),
        directives: Math.max(most.directives, found.directives),
        width: Math.max(most.width, found.width),
        cost: Math.max(most.cost, found.cost),
      };
    }
  } catch (error) {
    if (error instanceof RangeError) return 'ENDLESS';
    throw error;
  }
  return most;
}

function rowsAskedBy({ arguments: given }: FieldNode): number {
  const first = given?.find(({ name }) => name.value === 'first')?.value;
  return first?.kind === Kind.INT ? Number(first.value) : 1;
}

function isShort(text: string): boolean {
  try {
    parsed(text);
    return true;
  } catch {
    return false;
  }
}

/** Where a selection stands, and so which fields it may have. */
type Place = 'Query' | 'Account' | 'DepositAccount';

const PLACES: readonly Place[] = ['Query', 'Account', 'DepositAccount'];

/** Some thousand characters of a document: fragments, some of them with names of the schema’s own, that spread each other, in circles where the dice say so. */
const hostile: fc.Arbitrary<string> = fc
  .record({
    names: fc.uniqueArray(fc.constantFrom('__schema', '__type', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', '__typename'), {
      minLength: 1,
      maxLength: 11,
    }),
    isCircular: fc.integer({ min: 0, max: 4 }).map((die) => die === 0),
    operations: fc.integer({ min: 1, max: 12 }),
    dice: fc.infiniteStream(fc.nat({ max: 9_999 })),
  })
  .map(({ names, isCircular, operations, dice }) => {
    const roll = (sides: number): number => Number(dice.next().value) % sides;
    const placeOf = names.map(() => (isCircular ? 'Query' : (PLACES[roll(PLACES.length)] ?? 'Query')));
    let words = 0;
    const isFull = (): boolean => words > TOKENS / 2;

    function selections(place: Place, from: number, depth: number): string {
      const count = 1 + roll(roll(4) === 0 ? 12 : 3);
      return Array.from({ length: count }, () => selection(place, from, depth)).join(' ');
    }
    function selection(place: Place, from: number, depth: number): string {
      words += 3;
      if (isFull() || depth > 14) return '__typename';
      const directive = roll(12) === 0 ? '@include(if: true)' : '';
      switch (roll(6)) {
        case 0:
        case 1: {
          const targets = names
            .map((_, index) => index)
            .filter((index) => (isCircular || index >= from) && placeOf[index] === place);
          const target = targets[roll(Math.max(1, targets.length))];
          return target === undefined ? '__typename' : `...${names[target]} ${directive}`;
        }
        case 2:
          return `... ${roll(2) === 0 ? `on ${place}` : ''} ${directive} { ${selections(place, from, depth + 1)} }`;
        default:
          return `${roll(5) === 0 ? `a${roll(40)}:` : ''} ${field(place, from, depth, directive)}`;
      }
    }
    function field(place: Place, from: number, depth: number, directive: string): string {
      words += 4;
      if (place === 'Query') {
        return roll(2) === 0
          ? `viewer ${directive} { ${repeat(1 + roll(4), () => 'name')} }`
          : `accounts(first: ${1 + roll(100)}) ${directive} { nodes { ${selections('Account', from, depth + 2)} } }`;
      }
      if (roll(2) === 0) return `__typename ${directive}`;
      return place === 'Account'
        ? `depositAccounts ${directive} { ${selections('DepositAccount', from, depth + 1)} }`
        : `account ${directive} { ${selections('Account', from, depth + 1)} }`;
    }

    const queries = Array.from({ length: operations }, (_, index) => {
      words += 4;
      return `query Q${index} { ${isCircular ? `...${names[0]}` : ''} ${selections('Query', 0, 0)} }`;
    });
    const definitions = names.map((name, index) => {
      words += 6;
      const next = isCircular ? `...${names[(index + 1) % names.length]}` : '';
      return `fragment ${name} on ${placeOf[index]} { ${next} ${selections(placeOf[index] ?? 'Query', index + 1, 0)} }`;
    });
    return [...queries, ...definitions].join('\n');
  })
  .filter(isShort);

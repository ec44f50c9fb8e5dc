/** What holds of every type and field of the schema. */
import {
  buildSchema,
  type GraphQLArgument,
  GraphQLNonNull,
  GraphQLObjectType,
  GraphQLSchema,
  GraphQLString,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  isSpecifiedScalarType,
} from 'graphql';
import { describe, expect, test } from 'vitest';
import { fieldsWithoutScope } from '../../src/schema/default-deny.ts';
import { NODE_TYPES } from '../../src/schema/global-id.ts';
import { createSchema, printSchemaSdl } from '../../src/schema/index.ts';

const schema = createSchema();
const types = Object.values(schema.getTypeMap()).filter(
  (type) => !type.name.startsWith('__') && !isSpecifiedScalarType(type),
);

type Field = { readonly place: string; readonly type: string; readonly text: string };

/** Fields, arguments and input fields, with what is said of each; what is said of the type holds for its fields. */
const fields: readonly Field[] = types
  .filter((type) => isObjectType(type) || isInputObjectType(type))
  .flatMap((type) =>
    Object.values(type.getFields()).flatMap((field) => {
      const place = `${type.name}.${field.name}`;
      const own = { place, type: String(field.type), text: `${field.description ?? ''} ${type.description ?? ''}` };
      const args: readonly GraphQLArgument[] = 'args' in field ? field.args : [];
      return [
        own,
        ...args.map((arg) => ({ place: `${place}(${arg.name})`, type: String(arg.type), text: arg.description ?? '' })),
      ];
    }),
  );

describe('the schema', () => {
  test('has an id for `node` of each type that says so', () => {
    const nodes = types.filter(
      (type) => isObjectType(type) && type.getInterfaces().some(({ name }) => name === 'Node'),
    );
    expect(nodes.map(({ name }) => name).toSorted()).toEqual([...NODE_TYPES].toSorted());
  });

  test('describes everything: types, fields, arguments, enum values and input fields', () => {
    const bare: string[] = [];
    const check = (place: string, described: { readonly description?: string | null | undefined }): void => {
      if (described.description == null || described.description.trim() === '') bare.push(place);
    };
    for (const type of types) {
      check(type.name, type);
      if (isEnumType(type)) for (const value of type.getValues()) check(`${type.name}.${value.name}`, value);
      if (isInputObjectType(type)) {
        for (const field of Object.values(type.getFields())) check(`${type.name}.${field.name}`, field);
      }
      if (!isObjectType(type) && !isInterfaceType(type)) continue;
      for (const field of Object.values(type.getFields())) {
        check(`${type.name}.${field.name}`, field);
        for (const arg of field.args) check(`${type.name}.${field.name}(${arg.name})`, arg);
      }
    }

    expect(bare).toEqual([]);
  });

  test('says of every field which scope it needs and since when', () => {
    const silent = types
      .filter((type) => isObjectType(type))
      .flatMap((type) =>
        Object.values(type.getFields()).map((field) => [`${type.name}.${field.name}`, field.description] as const),
      )
      .filter(([, text]) => !/Scopes?: .*Since \d+\.\d+\.$/.test(text ?? ''));

    expect(silent.map(([name]) => name)).toEqual([]);
  });

  test('has no field that demands no scope', () => {
    expect(fieldsWithoutScope(schema)).toEqual([]);
  });

  test('would not be built with one', () => {
    const open = new GraphQLSchema({
      query: new GraphQLObjectType({
        name: 'Query',
        fields: {
          open: { type: new GraphQLNonNull(GraphQLString) },
          empty: { type: GraphQLString, extensions: { pothosOptions: { authScopes: {} } } },
          closed: { type: GraphQLString, extensions: { pothosOptions: { authScopes: { read: true } } } },
        },
      }),
    });

    expect(fieldsWithoutScope(open)).toEqual(['Query.open', 'Query.empty']);
  });

  test('never shows an amount, an offset or a record time as a number', () => {
    const numbers = fields
      .filter(({ type, place }) => !/\((first|last)\)$/.test(place) && /^\[?(Int|Float)/.test(type))
      .map(({ place }) => place);

    // What can pass 2⁵³ or has decimals; a count of people, tries or milliseconds cannot.
    expect(numbers.filter((place) => /amount|offset|recordtime|balance|fee|position|\bid$/i.test(place))).toEqual([]);
    expect(numbers.length).toBeGreaterThan(20);
  });

  test('says the unit of whatever has one: of amounts, of times, of durations and of sizes', () => {
    const said: readonly (readonly [string, (field: Field) => boolean, RegExp])[] = [
      ['amounts', ({ type }) => /Decimal/.test(type), /units of the instrument/i],
      ['times', ({ type }) => /RecordTime/.test(type), /record time|clock|ledger’s/i],
      ['milliseconds', ({ place }) => /Ms(Max)?$/.test(place), /millisecond/i],
      ['seconds', ({ place }) => /Seconds$/.test(place), /second/i],
      ['microseconds', ({ place }) => /Micros$/.test(place), /microsecond/i],
      ['bytes', ({ place }) => /Bytes(Max)?$/.test(place), /byte/i],
      ['hours', ({ place }) => /hours/i.test(place), /hour/i],
    ];
    for (const [what, has, unit] of said) {
      const having = fields.filter(has);
      expect(having.length, what).toBeGreaterThan(0);
      expect(
        having.filter(({ text }) => !unit.test(text)).map(({ place }) => place),
        what,
      ).toEqual([]);
    }
  });

  test('printed, it can be built again', () => {
    expect(() => buildSchema(printSchemaSdl())).not.toThrow();
  });
});

/** What holds of every type and field of the schema. */
import {
  buildSchema,
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
import { createSchema, printSchemaSdl } from '../../src/schema/index.ts';

const schema = createSchema();
const types = Object.values(schema.getTypeMap()).filter(
  (type) => !type.name.startsWith('__') && !isSpecifiedScalarType(type),
);

describe('the schema', () => {
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
    const numbers = types
      .filter((type) => isObjectType(type))
      .flatMap((type) =>
        Object.values(type.getFields()).map((field) => [`${type.name}.${field.name}`, String(field.type)] as const),
      )
      .filter(([, type]) => /Int|Float/.test(type) && !type.startsWith('BigInt'));

    expect(numbers).toEqual([
      ['DefiniteFailureProof.attempt', 'Int!'],
      ['Explanation.epoch', 'Int!'],
      ['Freshness.ageMs', 'Float'],
      ['HistoryGap.contractsAppeared', 'Int!'],
      ['HistoryGap.contractsVanished', 'Int!'],
      ['IngestionStream.epoch', 'Int!'],
      ['OfferAction.tries', 'Int!'],
      ['ParticipantTraffic.hoursLeft', 'Int'],
      ['PinnedTokenMetadata.decimals', 'Int!'],
      ['Policy.changeApprovals', 'Int!'],
      ['Policy.changeDelaySeconds', 'Int!'],
      ['Policy.version', 'Int!'],
      ['PolicyProposal.version', 'Int'],
      ['PreflightVerdict.approvalsNeeded', 'Int!'],
      ['PreflightVerdict.policyVersion', 'Int!'],
      ['RegistrySource.faultsMax', 'Int!'],
      ['Screening.tries', 'Int!'],
      ['StreamEpoch.epoch', 'Int!'],
      ['Token.offerValiditySeconds', 'Int!'],
      ['Token.version', 'Int!'],
      ['VerificationResult.ageMs', 'Float!'],
      ['VerificationResult.durationMs', 'Int!'],
      ['WithdrawalAttempt.number', 'Int!'],
      ['WithdrawalAttempt.tries', 'Int!'],
      ['WithdrawalPolicy.approvalsGiven', 'Int!'],
      ['WithdrawalPolicy.approvalsNeeded', 'Int!'],
      ['WithdrawalPolicy.policyVersion', 'Int'],
    ]);
  });

  test('printed, it can be built again', () => {
    expect(() => buildSchema(printSchemaSdl())).not.toThrow();
  });
});

/** The schema as the typed client needs it: types from which gql.tada works out those of every operation, and nothing at run time. */
import { minifyIntrospection, preprocessIntrospection } from 'gql.tada/internal';
import { type GraphQLSchema, introspectionFromSchema } from 'graphql';

/** @returns a module of types alone. */
export function printClientTypes(schema: GraphQLSchema): string {
  const introspection = minifyIntrospection(introspectionFromSchema(schema, { descriptions: false }));
  return `/* Made by \`npm run generate\` from src/schema. */\n\nexport type introspection = ${preprocessIntrospection(introspection)};\n`;
}

/**
 * Prints the Kysely types of a migrated database, read from PostgreSQL's own catalogs.
 *
 * Of our own rather than kysely-codegen: int8 must be bigint, a CHECK (… IN (…)) becomes a union of its texts, and jsonb takes the text we
 * hand to the driver (which would turn an array into a PostgreSQL array).
 */
import pg from 'pg';

type Column = {
  readonly table_name: string;
  readonly is_view: boolean;
  readonly column_name: string;
  /** Of a domain: its base type. */
  readonly type_name: string;
  readonly is_nullable: boolean;
  readonly has_default: boolean;
  readonly is_always_generated: boolean;
  /** The texts a CHECK allows, or null. */
  readonly check_definition: string | null;
};

// The migrations' own book-keeping is no business of the application.
const INTERNAL_TABLES = ['kysely_migration', 'kysely_migration_lock', 'migration_hash'];

// PostgreSQL does not know which columns of a view can be null. These cannot: they group and sum columns that are NOT NULL.
const VIEWS_WITHOUT_NULLS: ReadonlySet<string> = new Set(['account_balance']);

const COLUMNS = `
  SELECT c.relname AS table_name,
         c.relkind IN ('v', 'm') AS is_view,
         a.attname AS column_name,
         coalesce(base.typname, t.typname) AS type_name,
         NOT (a.attnotnull OR t.typnotnull) AS is_nullable,
         a.atthasdef AND a.attgenerated = '' OR a.attidentity = 'd' AS has_default,
         a.attidentity = 'a' OR a.attgenerated <> '' AS is_always_generated,
         (SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k
           WHERE k.conrelid = c.oid AND k.contype = 'c' AND k.conkey = ARRAY[a.attnum]
             AND pg_get_constraintdef(k.oid) ~ '= ANY \\(' ORDER BY k.conname LIMIT 1) AS check_definition
  FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_type base ON t.typtype = 'd' AND base.oid = t.typbasetype
  WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
    AND c.relname <> ALL ($1)
  ORDER BY c.relname, a.attnum`;

const HEADER = `/** The tables of the database, made from the migrated schema by scripts/generate.ts. Not edited by hand. */
import type { ColumnType, GeneratedAlways } from 'kysely';

/** A column with a default: may be left out of an INSERT. */
type WithDefault<S, I = S, U = S> = ColumnType<S, I | undefined, U>;

/** bytea: the driver returns a Buffer and takes any bytes. */
type Bytes = ColumnType<Buffer, Uint8Array, Uint8Array>;

/** jsonb: parsed on the way out, JSON text (JSON.stringify) on the way in. */
type Json = ColumnType<JsonValue, string, string>;

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };
`;

/** @returns the source of `src/gen/db.ts`. */
export async function printDatabaseTypes(connectionString: string): Promise<string> {
  const columns = await readColumns(connectionString);
  const tables = Map.groupBy(columns, (column) => column.table_name);
  const names = [...tables.keys()];
  const interfaces = [...tables].map(([name, members]) => {
    const lines = members.map((column) => `  ${column.column_name}: ${typeOf(column)};`);
    return `export interface ${pascalCase(name)}Table {\n${lines.join('\n')}\n}\n`;
  });
  const database = `export interface DB {\n${names.map((name) => `  ${name}: ${pascalCase(name)}Table;`).join('\n')}\n}\n`;
  return [HEADER, ...interfaces, database].join('\n');
}

async function readColumns(connectionString: string): Promise<readonly Column[]> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    const { rows } = await client.query<Column>(COLUMNS, [INTERNAL_TABLES]);
    return rows;
  } finally {
    await client.end();
  }
}

function typeOf(column: Column): string {
  if (column.is_view) {
    const mayBeNull = VIEWS_WITHOUT_NULLS.has(column.table_name) ? '' : ' | null';
    return `GeneratedAlways<${selectTypeOf(column)}${mayBeNull}>`;
  }
  const nullable = column.is_nullable ? ' | null' : '';
  const special = { bytea: 'Bytes', jsonb: 'Json', json: 'Json' }[column.type_name];
  if (special !== undefined) {
    if (column.has_default)
      throw new Error(`${column.table_name}.${column.column_name}: a default on ${special} is not supported.`);
    if (!column.is_nullable) return special;
    return special === 'Bytes'
      ? 'ColumnType<Buffer | null, Uint8Array | null | undefined, Uint8Array | null>'
      : 'ColumnType<JsonValue, string | null | undefined, string | null>';
  }
  const type = `${selectTypeOf(column)}${nullable}`;
  if (column.is_always_generated) return `GeneratedAlways<${type}>`;
  return column.has_default ? `WithDefault<${type}>` : type;
}

function selectTypeOf(column: Column): string {
  const texts = column.type_name === 'text' ? allowedTexts(column.check_definition) : [];
  if (texts.length > 0) return texts.map((text) => `'${text}'`).join(' | ');
  const types: Readonly<Record<string, string>> = {
    bool: 'boolean',
    bytea: 'Buffer',
    float8: 'number',
    int2: 'number',
    int4: 'number',
    int8: 'bigint',
    json: 'JsonValue',
    jsonb: 'JsonValue',
    numeric: 'string',
    text: 'string',
    uuid: 'string',
    _int4: 'number[]',
    _int8: 'bigint[]',
    _numeric: 'string[]',
    _text: 'string[]',
  };
  const type = types[column.type_name];
  if (type === undefined)
    throw new Error(`${column.table_name}.${column.column_name}: no TypeScript type for ${column.type_name}.`);
  return type;
}

/** The texts of `CHECK ((status = ANY (ARRAY['A'::text, 'B'::text])))`. */
function allowedTexts(definition: string | null): readonly string[] {
  const list = /^CHECK \(\(\w+ = ANY \(ARRAY\[((?:'[^']*'::text(?:, )?)+)\]\)\)\)$/.exec(definition ?? '')?.[1] ?? '';
  return [...list.matchAll(/'([^']*)'::text/g)].map((match) => match[1] ?? '');
}

function pascalCase(name: string): string {
  return name.replace(/(?:^|_)([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** What values of the database are in the program: int8 is bigint, numeric and times stay text, everything else as the driver has it. */
import pg from 'pg';

const TEXT_ARRAY: number = 1009; // Not in the driver's list of known types, hence the wider type.

type TypeParser = (text: string) => unknown;

const asText: TypeParser = (text) => text;

/** By type oid (pg_type.dat). What is not here keeps the driver's parser. */
const PARSERS: ReadonlyMap<number, TypeParser> = new Map<number, TypeParser>([
  [20, BigInt], // int8
  [1016, (text) => parseTextArray(text).map((item) => (item === null ? null : BigInt(item)))], // int8[]
  [1231, parseTextArray], // numeric[]
  [1082, asText], // date: a JS Date would drop microseconds and invent a time zone
  [1114, asText], // timestamp
  [1184, asText], // timestamptz
]);

function parseTextArray(text: string): (string | null)[] {
  const parse: (text: string) => (string | null)[] = pg.types.getTypeParser(TEXT_ARRAY, 'text');
  return parse(text);
}

/** For the driver. */
export function getTypeParser(oid: number, format?: 'text' | 'binary'): TypeParser {
  return PARSERS.get(oid) ?? pg.types.getTypeParser(oid, format);
}

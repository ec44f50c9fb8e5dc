/**
 * COPY … FROM STDIN: the fastest way for many rows into a table. The driver has the protocol's messages but no statement that sends them; this is one.
 * @see PostgreSQL documentation, "COPY Operations" of the frontend/backend protocol, and "Text Format" of COPY
 */
import type pg from 'pg';

/** What the driver's connection can send while a COPY is on. */
type CopyConnection = {
  query(text: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
};

/** Text, or null. No cell holds U+0000, which PostgreSQL refuses. */
export type CopyCell = string | null;

/**
 * @param statement `COPY table (columns) FROM STDIN`, a constant of the program.
 * @param rows held in memory as a whole: give them in portions.
 * @throws pg.DatabaseError; the transaction is aborted then.
 */
export async function copyIn(
  client: pg.Client,
  statement: string,
  rows: readonly (readonly CopyCell[])[],
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let failure: Error | null = null;
  client.query({
    submit: (connection: Pick<CopyConnection, 'query'>) => connection.query(statement),
    handleCopyInResponse: (connection: CopyConnection) => {
      connection.sendCopyFromChunk(Buffer.from(rows.map(lineOf).join(''), 'utf8'));
      connection.endCopyFrom();
    },
    handleCommandComplete: () => undefined,
    handleError: (error: Error) => {
      failure = error;
      reject(error);
    },
    handleReadyForQuery: () => {
      if (failure === null) resolve();
    },
  });
  await promise;
}

const SPECIAL = /[\\\n\r\t]/g;
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function lineOf(row: readonly CopyCell[]): string {
  return `${row.map((cell) => (cell === null ? '\\N' : cell.replace(SPECIAL, (found) => ESCAPES[found] ?? found))).join('\t')}\n`;
}

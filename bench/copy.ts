/**
 * The limit of ingestion: the rows that we wrote, in PostgreSQL's own bulk format, copied in one transaction into the same empty tables with all their indexes
 * and constraints. Everything that makes rows out of messages is left out; nothing that the tables demand is.
 */

import type pg from 'pg';
import type { Connection, Submittable } from 'pg';

/** In the order of their foreign keys. */
export const WRITTEN_TABLES = [
  'ledger_update',
  'holding',
  'transfer',
  'transfer_instruction',
  'attribution',
  'journal_entry',
  'posting',
  'event_outbox',
] as const;

export type CopiedRows = ReadonlyMap<string, readonly Buffer[]>;

/** @returns per table what COPY prints of it, in its default text format. */
export async function readRows(client: pg.Client, tables: readonly string[]): Promise<CopiedRows> {
  const rows = new Map<string, readonly Buffer[]>();
  for (const table of tables) rows.set(table, await copyOut(client, `COPY ${table} TO STDOUT`));
  return rows;
}

/** Copies `rows` in one transaction. @returns seconds. */
export async function copyRows(client: pg.Client, rows: CopiedRows): Promise<number> {
  const startedAt = performance.now();
  await client.query('BEGIN');
  for (const [table, chunks] of rows) await copyIn(client, `COPY ${table} FROM STDIN`, chunks);
  await client.query('COMMIT');
  return (performance.now() - startedAt) / 1_000;
}

/** What of the driver's connection COPY needs; its type declarations leave it out. */
type CopyConnection = Connection & {
  query(text: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
};

function copyIn(client: pg.Client, statement: string, chunks: readonly Buffer[]): Promise<void> {
  return runCopy(client, statement, {
    handleCopyInResponse: (connection) => {
      for (const chunk of chunks) connection.sendCopyFromChunk(chunk);
      connection.endCopyFrom();
    },
  });
}

async function copyOut(client: pg.Client, statement: string): Promise<Buffer[]> {
  const lines: Buffer[] = [];
  // The driver reuses its receive buffer.
  await runCopy(client, statement, { handleCopyData: ({ chunk }) => void lines.push(Buffer.from(chunk)) });
  const CHUNK_LINES = 200;
  return Array.from({ length: Math.ceil(lines.length / CHUNK_LINES) }, (_, index) =>
    Buffer.concat(lines.slice(index * CHUNK_LINES, (index + 1) * CHUNK_LINES)),
  );
}

type CopyHandlers = {
  readonly handleCopyInResponse?: (connection: CopyConnection) => void;
  readonly handleCopyData?: (message: { readonly chunk: Buffer }) => void;
};

function runCopy(client: pg.Client, statement: string, handlers: CopyHandlers): Promise<void> {
  return new Promise((resolve, reject) => {
    let failure: Error | null = null;
    const submittable = {
      submit: (connection: CopyConnection) => connection.query(statement),
      handleError: (error: Error) => {
        failure = error;
        reject(error);
      },
      handleCommandComplete: () => undefined,
      handleReadyForQuery: () => {
        if (failure === null) resolve();
      },
      handleCopyData: () => undefined,
      ...handlers,
    };
    client.query(submittable as unknown as Submittable);
  });
}

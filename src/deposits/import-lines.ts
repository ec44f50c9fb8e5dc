/**
 * The lines of a list of memos: one JSON object each, `{"account": "…", "memo": "…", "metadata": {"key": "text"}}`. JSON and not a table of commas, because a memo
 * may hold commas, quotes and blanks, and every byte of it counts. Pure; bounded by the longest line.
 */
import { z } from 'zod';
import { PermanentError } from '../env/errors.ts';
import { checkImported, type ImportedRow } from './deposit-account-import.ts';

const LINE_CHARACTERS_MAX = 20_000; // Memo, account and metadata at their longest, with every character escaped.

const shape = z.strictObject({
  account: z.string(),
  memo: z.string(),
  metadata: z.record(z.string(), z.string()).nullish(),
});

/**
 * @param chunks text as it comes from a file, cut anywhere.
 * @throws PermanentError IMPORT_INVALID naming the line; lines before it were given.
 */
export async function* importLines(chunks: AsyncIterable<string>): AsyncGenerator<ImportedRow> {
  let rest = '';
  let line = 0;
  for await (const chunk of chunks) {
    rest += chunk;
    // Nothing but a line feed ends a line: what other readers take for one (U+2028) may stand in a memo.
    for (let end = rest.indexOf('\n'); end !== -1; end = rest.indexOf('\n')) {
      const text = rest.slice(0, end);
      rest = rest.slice(end + 1);
      line++;
      if (text.trim() !== '') yield rowOf(text, line);
    }
    if (rest.length > LINE_CHARACTERS_MAX) throw invalid(line + 1, 'it is too long');
  }
  if (rest.trim() !== '') yield rowOf(rest, line + 1);
}

function rowOf(text: string, line: number): ImportedRow {
  const parsed = shape.safeParse(parseJson(text, line));
  if (!parsed.success) throw invalid(line, 'expected {"account": "…", "memo": "…"}, and perhaps "metadata" of texts');
  const { account, memo, metadata = null } = parsed.data;
  const row = { line, account, memo, metadata };
  try {
    checkImported(row);
  } catch (error) {
    if (error instanceof PermanentError) throw invalid(line, error.message);
    throw error;
  }
  return row;
}

function parseJson(text: string, line: number): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid(line, 'it is no JSON');
  }
}

function invalid(line: number, why: string): PermanentError {
  return new PermanentError('IMPORT_INVALID', `Line ${line}: ${why}.`, { line });
}

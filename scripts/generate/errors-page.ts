/** docs/errors.md, from the catalog of errors (src/schema/error-catalog.ts) and the refusals of the schema (src/schema/refusal-catalog.ts). */
import { API_ERRORS, CLOSE_CODES } from '../../src/schema/error-catalog.ts';
import { listRefusals } from '../../src/schema/refusal-catalog.ts';

const INTRODUCTION = `# Errors

Whatever goes wrong has a code that does not change; branch on it, never on a message. There are two kinds.

**Refusals** are results of mutations: types that implement \`Error\`, with \`code\`, \`message\`, \`why\`, \`fix\` and \`retryable\`. Nothing was changed.

**Errors** stand in \`errors\`, with their code in \`extensions.code\`, alike over HTTP, SSE and WebSocket. What nobody expected is
\`INTERNAL_SERVER_ERROR\` with an \`errorId\` that our log has too, and tells nothing else. "Retryable" means: the same request may succeed later.
`;

/** What listRefusals() puts where a refusal names a time or an amount. */
const SAMPLE_VALUES = /1970-01-01T00:00:00\.000000Z|\b[01]\.0{10}\b/g;

/** @returns the page's text. */
export function printErrorsPage(): string {
  const errors = Object.entries(API_ERRORS).map(([code, { message, why, fix, retryable, status, close }]) => [
    `\`${code}\``,
    String(status),
    close === null ? '' : String(close),
    retryable ? 'yes' : 'no',
    message,
    why,
    fix,
  ]);
  const closes = Object.entries(CLOSE_CODES).map(([code, { means, next }]) => [code, means, next]);
  const families = [...listRefusals()].map(([type, refusals]) => {
    const rows = refusals.map(({ code, retryable, message, advice }) => [
      `\`${code}\``,
      retryable ? 'yes' : 'no',
      message.replaceAll(SAMPLE_VALUES, '…'),
      advice.why,
      advice.fix,
    ]);
    return `### ${type}\n\n${table(['code', 'retryable', 'message', 'why', 'fix'], rows)}\n`;
  });
  return [
    INTRODUCTION,
    '## Errors\n\nThe status is that of an answer over HTTP that holds nothing else; where other fields have data it is 200.\n',
    `${table(['code', 'HTTP', 'close', 'retryable', 'message', 'why', 'fix'], errors)}\n`,
    '## Close codes of WebSockets\n',
    `${table(['code', 'means', 'next'], closes)}\n`,
    '## Refusals\n',
    ...families,
    'This page is made by `npm run generate` from `src/schema/error-catalog.ts` and `src/schema/refusal-catalog.ts`.\n',
  ].join('\n');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows].map((cells) => cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')));
  const widths = head.map((_, column) => Math.max(3, ...all.map((cells) => cells[column]?.length ?? 0)));
  const lines = all.map((cells) => cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)));
  lines.splice(
    1,
    0,
    widths.map((width) => '-'.repeat(width)),
  );
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

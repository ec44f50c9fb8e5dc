/** docs/configuration.md, from the declarations of src/config/keys.ts. */
import { printConfigTable } from '../../src/config/describe.ts';

const INTRODUCTION = `# Configuration

Everything is set by environment variables, read once at the start. All faults are reported at once; a variable that begins with
\`SLUICE_\` and is not in this table is refused, so that a misspelt one is not silently ignored.

A variable set to nothing counts as unset. A secret may come from a file instead: set the variable's name with \`_FILE\` to its path
(\`DATABASE_URL_FILE=/run/secrets/database-url\`); a newline at the file's end does not count. Secrets are never printed or logged.
`;

const EXAMPLE = `
The hash for \`SLUICE_API_KEYS\` is made from a key of your choice, at least 32 random characters:

    printf %s "$KEY" | sha256sum

This page is made by \`npm run generate\` from \`src/config/keys.ts\`.
`;

/** @returns the page's text. */
export function printConfigPage(): string {
  return `${INTRODUCTION}\n${printConfigTable()}\n${EXAMPLE}`;
}

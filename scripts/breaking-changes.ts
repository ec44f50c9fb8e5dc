/**
 * What of the API breaks clients: `schema.graphql` against `schema.released.graphql`, the schema as of the last release, which lies in git so that
 * a clone without history can look. A breaking change needs a line under "### Breaking" of the changelog's "Unreleased" that names it, as
 * graphql-js does: `Query.transfers`, `Transfer.memo`, a type, an argument. At a release the file becomes a copy of `schema.graphql`.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildSchema, findBreakingChanges } from 'graphql';

/** @returns the breaking changes that the changelog does not name, in graphql-js's words; empty: all is told. */
export function untoldBreakingChanges(texts: {
  readonly released: string;
  readonly present: string;
  readonly changelog: string;
}): readonly string[] {
  const told = breakingLinesOf(texts.changelog);
  return findBreakingChanges(buildSchema(texts.released), buildSchema(texts.present))
    .map(({ description }) => description)
    .filter((description) => !told.some((line) => names(line, description)));
}

/** The lines of "### Breaking" below "## Unreleased". */
function breakingLinesOf(changelog: string): readonly string[] {
  const unreleased = /^## Unreleased$([\s\S]*?)(?=^## |$(?![\s\S]))/m.exec(changelog)?.[1] ?? '';
  const breaking = /^### Breaking$([\s\S]*?)(?=^### |$(?![\s\S]))/m.exec(unreleased)?.[1] ?? '';
  return breaking.split('\n').filter((line) => line.trim() !== '');
}

/** A description begins with what changed, `Type.field(arg:)` or a name; a line tells of it in backticks. */
function names(line: string, description: string): boolean {
  const subjects = [...description.matchAll(/\b[A-Za-z_]\w*(?:\.\w+)?/g)].map(([word]) => word);
  const subject =
    subjects.find((word) => word.includes('.')) ?? subjects.find((word) => /^[A-Z]\w*[a-z]/.test(word)) ?? subjects[0];
  return subject !== undefined && line.includes(`\`${subject}\``);
}

/** @param project the folder of the project. */
export async function readUntoldBreakingChanges(project: string): Promise<readonly string[]> {
  const [released, present, changelog] = await Promise.all(
    ['schema.released.graphql', 'schema.graphql', 'CHANGELOG.md'].map(
      async (file) => await readFile(join(project, file), 'utf8'),
    ),
  );
  return untoldBreakingChanges({ released: released ?? '', present: present ?? '', changelog: changelog ?? '' });
}

/**
 * The rows of the failure catalog and the attacks, and which tests name them: read from the sources of the tests, without running them. A test names a row at the start of its title or in a list there ("A13: …",
 * "C1, C5: …"), or stands in a group that does.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import ts from 'typescript';

export type Section = { readonly title: string; readonly rows: number };

/** Rows per section of docs/failure-modes.md. */
export const FAILURES: Readonly<Record<string, Section>> = {
  A: { title: 'ledger node and stream', rows: 22 },
  B: { title: 'time and upgrades', rows: 11 },
  C: { title: 'database', rows: 16 },
  D: { title: 'processes', rows: 9 },
  E: { title: 'withdrawals and submission', rows: 24 },
  F: { title: 'registries and Scan', rows: 5 },
  S: { title: 'signer and policy', rows: 10 },
  G: { title: 'deposits', rows: 8 },
  H: { title: 'API and subscriptions', rows: 13 },
};
export const ATTACKS: Readonly<Record<string, Section>> = { Z: { title: 'attacks', rows: 42 } };

export const idsOf = (sections: Readonly<Record<string, Section>>): readonly string[] =>
  Object.entries(sections).flatMap(([letter, { rows }]) =>
    Array.from({ length: rows }, (_, index) => `${letter}${index + 1}`),
  );

const NAMED = /(?<![\w-])([ABCDEFGHSZ])([1-9]\d?)(?=:|,| and |\/)/g;

/** Rows that the title of a test names. */
export const rowsNamedIn = (title: string): readonly string[] =>
  [...title.matchAll(NAMED)].map(([, letter, row]) => `${letter}${row}`);

export type NamedTest = {
  /** From the project's root. */
  readonly file: string;
  /** As it stands in the source, without the groups around it. */
  readonly title: string;
  readonly rows: readonly string[];
  /** Whether it, or a function of the tests that it calls, can fail. */
  readonly isAsserting: boolean;
};

export const PROJECT = resolve(import.meta.dirname, '..');

/** Of all tests below `test/`, `src/`, `client/` and `examples/`. */
export function readNamedTests(): readonly NamedTest[] {
  return ['test', 'src', 'client', 'examples']
    .flatMap((folder) => testFilesOf(join(PROJECT, folder)))
    .flatMap(namedTestsOf);
}

function testFilesOf(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts') && !name.includes('node_modules'))
    .map((name) => join(folder, name))
    .sort();
}

/** @param file its whole path. */
export function namedTestsOf(file: string): readonly NamedTest[] {
  const text = readFileSync(file, 'utf8');
  if (rowsNamedIn(text).length === 0) return [];
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const asserting = assertingNames(source, file);
  const found: NamedTest[] = [];
  const visit = (node: ts.Node, outer: readonly string[]): void => {
    const call = ts.isCallExpression(node) ? node : null;
    const verb = call === null ? null : /^(test|it|describe)\b/.exec(call.expression.getText(source))?.[1];
    const [name] = call?.arguments ?? [];
    const body = call?.arguments.find(
      (each) => ts.isArrowFunction(each) || ts.isFunctionExpression(each) || ts.isIdentifier(each),
    );
    if (call === null || verb === undefined || verb === null || name === undefined || body === undefined) {
      ts.forEachChild(node, (child) => visit(child, outer));
      return;
    }
    const title = name.getText(source).slice(1, -1);
    const rows = [...outer, ...rowsNamedIn(title)];
    if (verb === 'describe') ts.forEachChild(node, (child) => visit(child, rows));
    // What the title is taken from stands in the table before it.
    const ofTable = title.startsWith('%s') ? rowsNamedIn(call.expression.getText(source)) : [];
    const all = [...new Set([...rows, ...ofTable])];
    if (verb !== 'describe' && all.length > 0) {
      found.push({
        file: relative(PROJECT, file),
        title,
        rows: all,
        isAsserting: canFail(body.getText(source), asserting),
      });
    }
  };
  visit(source, []);
  return found;
}

const ASSERTION = /\b(?:expect|assert|must)\w*\s*[(.]/;

function canFail(text: string, asserting: ReadonlySet<string>): boolean {
  return ASSERTION.test(text) || [...text.matchAll(/[A-Za-z_$][\w$]*/g)].some(([word]) => asserting.has(word));
}

/** Functions of the file, and what it takes from other files of the tests, that can fail a test. */
function assertingNames(source: ts.SourceFile, file: string): ReadonlySet<string> {
  const names = new Set<string>();
  for (const statement of source.statements) {
    if (!ts.isImportDeclaration(statement) || !ts.isStringLiteral(statement.moduleSpecifier)) continue;
    const path = resolve(dirname(file), statement.moduleSpecifier.text);
    const isOfTests = statement.moduleSpecifier.text.startsWith('.') && !relative(PROJECT, path).startsWith('src/');
    if (!isOfTests || !existsSync(path) || !ASSERTION.test(readFileSync(path, 'utf8'))) continue;
    const bindings = statement.importClause?.namedBindings;
    if (bindings !== undefined && ts.isNamedImports(bindings))
      for (const { name } of bindings.elements) names.add(name.text);
  }
  const bodies = new Map<string, string>();
  const collect = (node: ts.Node): void => {
    if (ts.isFunctionDeclaration(node) && node.name !== undefined) bodies.set(node.name.text, node.getText(source));
    if (ts.isVariableDeclaration(node) && ts.isIdentifier(node.name) && node.initializer !== undefined)
      bodies.set(node.name.text, node.initializer.getText(source));
    ts.forEachChild(node, collect);
  };
  collect(source);
  for (let size = -1; size !== names.size; ) {
    size = names.size;
    for (const [name, text] of bodies) if (canFail(text, names)) names.add(name);
  }
  return names;
}

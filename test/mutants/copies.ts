/**
 * Copies of the product in one process, each with a mistake of its own: a module that is asked for as one of a copy ({@link copyUrl}) has all it imports of ours from that copy. A process for each mistake would spend its time on
 * loading the same libraries. Nothing of it is on disk.
 */
import { readFileSync } from 'node:fs';
import { registerHooks, stripTypeScriptTypes } from 'node:module';
import { fileURLToPath } from 'node:url';

export type Copy = {
  /** Letters, digits and hyphens. */
  readonly name: string;
  /** What the module at `url` says in this copy. */
  readonly rewrite: (url: string, text: string) => string;
};

const ROOT = new URL('../../', import.meta.url).href;
const COPIED = ['src/', 'test/', 'client/'].map((folder) => ROOT + folder);
/** What no mistake is in, and what refers to nothing else of ours: all copies have the same. */
const SHARED = ['src/env/', 'src/gen/', 'src/simnet/'].map((folder) => ROOT + folder);
const MARK = '?copy=';

/** The address by which a module of a copy is imported. */
export function copyUrl(url: URL, copy: string): string {
  return `${url.href}${MARK}${copy}`;
}

/** From now on these copies can be imported. Call it once in a process. */
export function makeCopies(copies: readonly Copy[]): void {
  const byName = new Map(copies.map((copy) => [copy.name, copy]));
  /** By address, as it is on disk: in most copies most modules are. */
  const known = new Map<string, { readonly text: string; readonly code: string }>();

  function codeOf(url: string, name: string): string {
    const copy = byName.get(name);
    if (copy === undefined) throw new Error(`There is no copy '${name}'.`);
    const { text, code } = known.get(url) ?? read(url);
    known.set(url, { text, code });
    const rewritten = copy.rewrite(url, text);
    return rewritten === text ? code : stripTypeScriptTypes(rewritten);
  }

  registerHooks({
    resolve: (specifier, context, nextResolve) => {
      const resolved = nextResolve(specifier, context);
      const [, copy] = context.parentURL?.split(MARK) ?? [];
      return copy === undefined || !isCopied(resolved.url)
        ? resolved
        : { ...resolved, url: resolved.url + MARK + copy };
    },
    load: (url, context, nextLoad) => {
      const [own = '', copy] = url.split(MARK);
      return copy === undefined
        ? nextLoad(url, context)
        : { format: 'module', source: codeOf(own, copy), shortCircuit: true };
    },
  });
}

/** @returns whether each copy has that module for itself; only there a mistake can be. */
export function isCopied(url: string): boolean {
  const isIn = (folder: string): boolean => url.startsWith(folder);
  return url.endsWith('.ts') && COPIED.some(isIn) && !SHARED.some(isIn);
}

function read(url: string): { readonly text: string; readonly code: string } {
  const text = readFileSync(fileURLToPath(url), 'utf8');
  return { text, code: stripTypeScriptTypes(text) };
}

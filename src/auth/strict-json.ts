/**
 * JSON in which every name of an object stands once. `JSON.parse` takes the last of two, other readers the first: a token with two `sub` would be one person's where it was signed and another's here.
 * @see RFC 8259, section 4; RFC 7519, section 4.
 */

const DEPTH_MAX = 16; // Claims are flat; a hundred thousand brackets are an attack on whoever reads by recursion.

/** @returns null: no JSON, too deep, or a name stands twice in one object. */
export function parseStrictJson(text: string): unknown {
  if (!namesAreUnique(text)) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** A string, or one character that opens, closes or separates. All that stands between is of no matter here; whether it is JSON says the parser. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]/gs;

function namesAreUnique(text: string): boolean {
  /** The names so far of each object that is open; null: an array. */
  const open: (Set<string> | null)[] = [];
  let last = '';
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === '{' || token === '[') {
      open.push(token === '{' ? new Set() : null);
      if (open.length > DEPTH_MAX) return false;
    } else if (token === '}' || token === ']') {
      open.pop();
    } else if (token === ':') {
      const names = open.at(-1);
      const name = readName(last);
      if (names == null || name === null || names.has(name)) return false;
      names.add(name);
    }
    last = token;
  }
  return true;
}

/** As it is meant: `"sub"` and `"s\u0075b"` are one name. */
function readName(quoted: string): string | null {
  try {
    const name: unknown = JSON.parse(quoted);
    return typeof name === 'string' ? name : null;
  } catch {
    return null;
  }
}

/** Text that can be stored and shown, whoever wrote it. */

/**
 * Text as PostgreSQL can store it: it refuses U+0000 and half a surrogate pair, which a Daml text, a registry or an error message may carry. The replacement character stands in, so that a hostile memo
 * is recorded and still equals no registered one.
 */
export function storableText(text: string): string {
  return text.replaceAll('\0', '\uFFFD').toWellFormed();
}

/** What no name or reference of ours may have, wherever it is given: control characters, and the replacement character, which stands for what cannot be stored. The same everywhere, or a name could be credited under which nothing can be withdrawn. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused.
export const UNPRINTABLE = /[\u0000-\u001f\u007f\ufffd]/;

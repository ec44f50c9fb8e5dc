/** Text that can be stored and shown, whoever wrote it. */

/**
 * Text as PostgreSQL can store it: it refuses U+0000 and half a surrogate pair, which a Daml text, a registry or an error message may carry. The replacement character stands in, so that a hostile memo
 * is recorded and still equals no registered one.
 */
export function storableText(text: string): string {
  return text.replaceAll('\0', '\uFFFD').toWellFormed();
}

/**
 * A deposit address as one text, for a QR code: `<party id>?memoId=<memo>`, with the memo percent-encoded byte by byte in UTF-8, so that what a wallet decodes is
 * exactly what was registered. There is no standard; this is how BitGo's library writes a Canton address with a memo (BitGoJS, modules/sdk-coin-canton).
 */

/** @param party a party id. @param memo as registered: well-formed text. */
export function depositUri(party: string, memo: string): string {
  return `${party}?memoId=${encodeURIComponent(memo)}`;
}

/** @returns what {@link depositUri} was given; null for anything it does not write. */
export function parseDepositUri(uri: string): { readonly party: string; readonly memo: string } | null {
  const [, party = '', encoded = ''] = /^([A-Za-z0-9_-]+::[A-Za-z0-9]+)\?memoId=([^&#]+)$/.exec(uri) ?? [];
  if (party === '') return null;
  try {
    const memo = decodeURIComponent(encoded);
    return depositUri(party, memo) === uri ? { party, memo } : null;
  } catch {
    return null;
  }
}

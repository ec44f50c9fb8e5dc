/** Text of others must not be able to move the cursor or to turn the text around. */
export function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, '\ufffd');
}

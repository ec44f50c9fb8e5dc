/** A line of progress, with the time of day. */
export type Say = (line: string) => void;

export function sayer(tier: string): Say {
  return (line) => console.log(`${new Date().toISOString().slice(11, 19)}  ${tier.padEnd(8)} ${line}`);
}

const SHOWN = 160;

/** Of what was seen while work began at rest, and was gone when it was done. */
export function sayPassing(say: Say, passing: readonly string[]): void {
  for (const each of passing) say(`passing, since work began meanwhile: ${each.slice(0, SHOWN)}`);
}

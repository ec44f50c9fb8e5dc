/** A line of progress, with the time of day. */
export type Say = (line: string) => void;

export function sayer(tier: string): Say {
  return (line) => console.log(`${new Date().toISOString().slice(11, 19)}  ${tier.padEnd(8)} ${line}`);
}

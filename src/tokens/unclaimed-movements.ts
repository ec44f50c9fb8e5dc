/**
 * What becomes of the holding changes that no claim explains.
 *
 * Holdings that came, while none of the same instrument went, are money that somebody sent: each becomes a movement of its own without memo and sender, which
 * waits for a person like a deposit without a memo. To call it unexplained would hide it from those who assign deposits, and let anybody raise that alarm with
 * a token of a registry we cannot read. Where holdings of ours went, nobody knows what happened, and the difference is `UNEXPLAINED`.
 */
import { amountOf, fitsAmount } from './amount.ts';
import type { HoldingChange } from './holding-changes.ts';
import { type DraftMovement, movementOfHoldings } from './movement.ts';

/** @param changes of one party, by rising node id; those that are taken are left alone. */
export function unclaimedMovements(changes: readonly HoldingChange[]): readonly DraftMovement[] {
  const open = changes.filter(({ isTaken }) => !isTaken);
  return [...Map.groupBy(open, ({ instrument }) => instrument).values()].flatMap((ofInstrument) => {
    const net = withoutTransients(ofInstrument);
    return net.every(({ delta }) => delta > 0n)
      ? net.map(({ nodeId, instrument, delta }) => movementOfHoldings(nodeId, 'DIRECT', instrument, delta))
      : unexplained(ofInstrument);
  });
}

/** Without the holdings that were created and consumed again in this very update. */
function withoutTransients(changes: readonly HoldingChange[]): readonly HoldingChange[] {
  const passing = Map.groupBy(changes, ({ contractId }) => contractId);
  return changes.filter(({ contractId }) => passing.get(contractId)?.length === 1);
}

/** The sum, where it is not zero; in parts where one amount cannot hold it. */
function unexplained(changes: readonly HoldingChange[]): readonly DraftMovement[] {
  const sums: { change: HoldingChange; delta: bigint }[] = [];
  for (const change of changes) {
    const last = sums.at(-1);
    if (last !== undefined && fitsAmount(last.delta + change.delta)) last.delta += change.delta;
    else sums.push({ change, delta: change.delta });
  }
  return sums
    .filter(({ delta }) => delta !== 0n)
    .map(({ change: { nodeId, instrument }, delta }) =>
      movementOfHoldings(nodeId, 'UNEXPLAINED', instrument, amountOf(delta)),
    );
}

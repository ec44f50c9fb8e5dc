/** How far a participant has come on a synchronizer, by record time: what tells a node that is catching up from one that lacks something. */
import type { Clock, Micros } from '../env/clock.ts';
import type { Ledger } from '../ledger/ledger-client.ts';
import type { Treasury } from './effect-sink.ts';
import { receive } from './received-update.ts';
import { updateFormatFor } from './update-format.ts';

/**
 * The ledger end tells it on newer nodes; on others the first checkpoint or update after the ledger end does.
 * @param listenMs how long to wait for that.
 * @returns null when the node said nothing of this synchronizer in that time. @throws RetryableError, PermanentError of the calls.
 */
export async function recordTimeOf(
  {
    ledger,
    treasury,
    clock,
    signal,
  }: { readonly ledger: Ledger; readonly treasury: Treasury; readonly clock: Clock; readonly signal: AbortSignal },
  synchronizerId: string,
  listenMs: number,
): Promise<Micros | null> {
  const { offset, recordTimes } = await ledger.ledgerEnd();
  const told = recordTimes.get(synchronizerId);
  if (told !== undefined) return told;

  const over = new AbortController();
  const listening = AbortSignal.any([signal, over.signal]);
  void clock.sleep(listenMs, listening).then(() => over.abort());
  try {
    const messages = ledger.updates({
      beginExclusive: offset,
      format: updateFormatFor(treasury.party),
      signal: listening,
    });
    for await (const message of messages) {
      const item = receive(message);
      if (item.kind !== 'CHECKPOINT') {
        if (item.synchronizerId === synchronizerId) return item.recordTime;
        continue;
      }
      const time = item.synchronizerTimes.find((candidate) => candidate.synchronizerId === synchronizerId);
      if (time !== undefined) return time.recordTime;
    }
    return null;
  } finally {
    over.abort();
  }
}

/**
 * The participant's active contract set in our terms: the holdings a treasury party owns and the offers it takes part in. Read with the same views and the same rule of whom to believe as the
 * stream (`tokens/views.ts`), but from a snapshot and one contract at a time: nothing here knows transactions, so a mistake in reading those shows.
 */
import { type Clock, type Micros, microsToMillis } from '../env/clock.ts';
import { assert, RetryableError } from '../env/errors.ts';
import type { CreatedEvent } from '../gen/com/daml/ledger/api/v2/event.ts';
import type { EventFormat } from '../gen/com/daml/ledger/api/v2/transaction_filter.ts';
import type { ActiveContract, Ledger } from '../ledger/ledger-client.ts';
import type { Amount } from '../tokens/amount.ts';
import type { Instrument } from '../tokens/transfer-record.ts';
import { DecodeError } from '../tokens/value.ts';
import { holdingView, instructionView, isOwnHolding, isSignedByAdmin } from '../tokens/views.ts';
import { updateFormatFor } from './update-format.ts';

/** What is asked of a participant. */
export type ActiveSetSource = Pick<Ledger, 'participantId' | 'updateById' | 'activeContracts'>;

export type ActiveEntry =
  | {
      readonly kind: 'HOLDING';
      readonly contractId: string;
      readonly instrument: Instrument;
      readonly amount: Amount;
    }
  | {
      readonly kind: 'OFFER';
      readonly contractId: string;
      readonly instrument: Instrument;
      readonly amount: Amount;
      /** The party is its sender: what it offers is ours. Any other is a stranger's, who may do with it what he likes. */
      readonly isOutgoing: boolean;
    }
  /** The party signed it, it is a holding or an offer, and its view cannot be read: what it is worth cannot be told. */
  | { readonly kind: 'UNREADABLE'; readonly contractId: string };

const PAGE_CONTRACTS = 500; // Some hundred kilobytes; the stream waits while a page is written.

/** A snapshot comes without pause; what pauses longer is a participant that does not answer. Shorter than a transaction of ours may stand idle. */
const SILENCE_MS_MAX = 20_000;

/**
 * What of the active contracts at `offset` counts for `party`, page by page, in no order.
 * @throws RetryableError ACTIVE_SET_STALLED, ACTIVE_SET_GIVEN_UP when `signal` aborted; both kinds with Canton's code: OFFSET_AFTER_LEDGER_END,
 * PARTICIPANT_PRUNED_DATA_ACCESSED.
 */
export async function* readActiveSet(
  ledger: ActiveSetSource,
  {
    party,
    offset,
    clock,
    signal,
  }: { readonly party: string; readonly offset: bigint; readonly clock: Clock; readonly signal: AbortSignal },
): AsyncGenerator<readonly ActiveEntry[], void, undefined> {
  const over = new AbortController();
  const silent = new AbortController();
  const heard = { at: clock.nowMicros() };
  const watching = watchForSilence(heard, silent, clock, over.signal);
  const reading = AbortSignal.any([signal, silent.signal]);
  try {
    let page: ActiveEntry[] = [];
    const format = activeFormatFor(party);
    for await (const contract of ledger.activeContracts({ atOffset: offset, format, signal: reading })) {
      page.push(...entriesOf(contract, party));
      if (page.length >= PAGE_CONTRACTS) {
        yield page;
        page = [];
      }
      heard.at = clock.nowMicros();
    }
    // A snapshot that was cut short looks like one that ended.
    if (silent.signal.aborted) throw new RetryableError('ACTIVE_SET_STALLED', 'The participant stopped answering.');
    if (signal.aborted) throw new RetryableError('ACTIVE_SET_GIVEN_UP', 'The process is to end.');
    if (page.length > 0) yield page;
  } finally {
    over.abort();
    await watching;
  }
}

async function watchForSilence(
  heard: { readonly at: Micros },
  silent: AbortController,
  clock: Clock,
  over: AbortSignal,
): Promise<void> {
  while (!over.aborted && !silent.signal.aborted) {
    await clock.sleep(SILENCE_MS_MAX / 4, over);
    if (microsToMillis(clock.nowMicros() - heard.at) > SILENCE_MS_MAX) silent.abort();
  }
}

/** The stream's own filter: whatever it would show us, and with the same views. */
export function activeFormatFor(party: string): EventFormat {
  const format = updateFormatFor(party).includeTransactions?.eventFormat;
  assert(format !== undefined, 'The stream asks for no transactions.');
  return format;
}

function entriesOf({ kind, createdEvent }: ActiveContract, party: string): readonly ActiveEntry[] {
  try {
    // On its way to another synchronizer a holding is spent where it comes from, and not yet to be had where it goes. An offer stays open all the way, and its sender may send it whenever he likes.
    const holdings = kind === 'ACTIVE' ? holdingOf(createdEvent, party) : [];
    return [...holdings, ...offerOf(createdEvent, party)];
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    const isOurs = createdEvent.signatories.includes(party);
    return isOurs ? [{ kind: 'UNREADABLE', contractId: createdEvent.contractId }] : [];
  }
}

function holdingOf(event: CreatedEvent, party: string): readonly ActiveEntry[] {
  const view = holdingView(event);
  if (view === undefined || !isOwnHolding(view, party) || !isSignedByAdmin(event, view.instrument)) return [];
  // The stream leaves these out as well: no package that keeps the standard has them.
  if (view.amount <= 0n) return [];
  return [{ kind: 'HOLDING', contractId: event.contractId, instrument: view.instrument, amount: view.amount }];
}

function offerOf(event: CreatedEvent, party: string): readonly ActiveEntry[] {
  const view = instructionView(event);
  if (view === undefined) return [];
  const { sender, receiver, instrument, amount } = view.transfer;
  if ((sender !== party && receiver !== party) || !isSignedByAdmin(event, instrument)) return [];
  return [{ kind: 'OFFER', contractId: event.contractId, instrument, amount, isOutgoing: sender === party }];
}

/**
 * A customer's balance page that is never silently old.
 *
 * The page says up to which place in the event log it holds everything, and the log is watched after that place: nothing falls between. Each event of this customer has the page read again.
 * What it shows carries its age, and looks aged when the ledger is behind or the connection is gone.
 */
import { type ConnectionState, createSluiceClient, graphql, type ResultOf } from 'sluice-client';

const PAGE = graphql(`
  query BalancePage($customer: String!) {
    freshness { position state ageMs }
    depositAccounts(account: $customer, first: 1) {
      nodes {
        memo
        addresses { party memo }
        account {
          funds { available inWithdrawals held instrument { id name } }
        }
      }
    }
    transfers(account: $customer, direction: IN, first: 8) {
      nodes { id recordTime amount status instrument { name } }
    }
    withdrawals(filter: { account: $customer }, first: 8) {
      nodes { id createdAt amount state isFinal instrument { name } }
    }
  }
`);
const DEPOSITS = graphql(
  `subscription PageDeposits($after: Cursor, $customer: String!) { deposits(after: $after, filter: { account: $customer }) { cursor kind } }`,
);
const WITHDRAWALS = graphql(`
  subscription PageWithdrawals($after: Cursor, $customer: String!) {
    withdrawals(after: $after, filter: { account: $customer }) { cursor state }
  }
`);
const PROGRESS = graphql(`subscription PageProgress { ingestionProgress { freshness { state ageMs recordTime } } }`);

type Page = ResultOf<typeof PAGE>;

const customer = new URLSearchParams(location.search).get('customer') ?? 'customer-1';
const client = createSluiceClient({ url: new URL('/graphql', location.href).href });
const RETRY_MS = 2_000;
/** The ledger's age as last heard, and when that was by this page's own clock. */
let heard: { readonly state: string; readonly ageMs: number; readonly atMs: number } | null = null;
let connection: ConnectionState['kind'] = 'CONNECTING';
/** The last reading failed, or was answered with what was known before: there may be more than is shown. */
let isBehind = false;
let isWanted = false;
let isReading = false;
const seen = new Set<string>();

element('customer').textContent = customer;
setInterval(showFreshness, 250);
void insistOn(follow);
void insistOn(watchProgress);

/** The page, and then what comes after the place in the log that it says it is of. */
async function follow(): Promise<void> {
  const after = await read();
  if (isBehind) void readSoon();
  // After a restore of the database the present state is all that counts: it is read again, and followed from there.
  const onResync = async (): Promise<string> => await read();
  const ending = new AbortController();
  const options = { after, onResync, signal: ending.signal };
  const deposits = async (): Promise<void> => {
    for await (const _deposit of client.watch(DEPOSITS, { customer }, options)) void readSoon();
  };
  const withdrawals = async (): Promise<void> => {
    for await (const _change of client.watch(WITHDRAWALS, { customer }, options)) void readSoon();
  };
  try {
    await Promise.all([deposits(), withdrawals()]);
  } finally {
    // Where one of them fails, both begin again.
    ending.abort();
  }
}

async function watchProgress(): Promise<void> {
  const onConnection = ({ kind }: ConnectionState): void => {
    connection = kind;
    showFreshness();
  };
  try {
    for await (const { freshness } of client.watch(PROGRESS, {}, { onConnection })) {
      hear(freshness);
    }
  } finally {
    connection = 'WAITING';
    showFreshness();
  }
}

/** Many events at once are one reading; one that fails is made up for as soon as that is possible. */
async function readSoon(): Promise<void> {
  isWanted = true;
  if (isReading) return;
  isReading = true;
  while (isWanted) {
    isWanted = false;
    await insistOn(async () => {
      await read();
      if (isBehind) throw new Error('Sluice gave the last answer that it knows.');
    });
  }
  isReading = false;
}

/** A page has nobody to tell but its reader: it says that it is not connected, and tries again. */
async function insistOn(work: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await work();
      return;
    } catch (error) {
      console.error(error);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

/** @returns the place in the log up to which the page holds everything. */
async function read(): Promise<string> {
  // Until it is answered anew; and then, by the answer itself.
  const page = await client.query(PAGE, { customer }).catch((error: unknown) => {
    isBehind = true;
    showFreshness();
    throw error;
  });
  isBehind = page.freshness.state === 'LAST_KNOWN';
  hear(page.freshness);
  show(page);
  return page.freshness.position;
}

/** Also of an answer that says itself that it is an old one (`LAST_KNOWN`: the database is away). */
function hear({ state, ageMs }: { readonly state: string; readonly ageMs: number | null }): void {
  heard = { state, ageMs: ageMs ?? Number.POSITIVE_INFINITY, atMs: performance.now() };
  showFreshness();
}

function show({ depositAccounts, transfers, withdrawals }: Page): void {
  const [place] = depositAccounts.nodes;
  fill('balances', place?.account.funds ?? [], 'No balance yet', ({ available, inWithdrawals, held, instrument }) => {
    const beside = [
      ...(isZero(inWithdrawals) ? [] : [`${short(inWithdrawals)} on its way out`]),
      ...(isZero(held) ? [] : [`${short(held)} more is being looked at`]),
    ];
    return {
      key: `${instrument.id} ${available}`,
      className: 'card',
      parts: [
        part('div', 'name', part('span', 'badge', instrument.name.slice(0, 1)), instrument.name),
        amountOf(available),
        part('p', 'held', ['available', ...beside].join(' · ')),
      ],
    };
  });
  const [address] = place?.addresses ?? [];
  const rows =
    address === undefined
      ? []
      : [part('dt', '', 'Party'), part('dd', '', address.party), part('dt', '', 'Memo'), part('dd', '', address.memo)];
  element('address').replaceChildren(...rows);
  fill('deposits', transfers.nodes, 'Nothing came yet', ({ id, amount, instrument, recordTime, status }) => ({
    key: `${id} ${status}`,
    className: '',
    parts: rowOf(`+ ${short(amount)} ${instrument.name}`, status, status === 'COMPLETED' ? 'good' : 'wait', recordTime),
  }));
  fill(
    'withdrawals',
    withdrawals.nodes,
    'Nothing was withdrawn yet',
    ({ id, amount, instrument, createdAt, state, isFinal }) => ({
      key: `${id} ${state}`,
      className: '',
      parts: rowOf(
        `− ${short(amount)} ${instrument.name}`,
        state,
        state === 'COMPLETED' ? 'good' : isFinal ? 'bad' : 'wait',
        createdAt,
      ),
    }),
  );
}

/** The truth about what is shown: how old it is by the ledger's clock and by ours together. */
function showFreshness(): void {
  const ageMs = heard === null ? null : heard.ageMs + performance.now() - heard.atMs;
  const age =
    ageMs === null || !Number.isFinite(ageMs)
      ? 'unknown'
      : ageMs < 10_000
        ? `${(ageMs / 1_000).toFixed(1)} s`
        : `${Math.round(ageMs / 1_000)} s`;
  const isConnected = connection === 'CONNECTED' && !isBehind;
  const state =
    heard === null && !isConnected ? 'connecting' : !isConnected ? 'away' : heard?.state === 'IDLE' ? 'live' : 'stale';
  const text = {
    connecting: 'Connecting …',
    live: `Live · ledger as of ${age} ago`,
    stale: `The ledger is behind · as of ${age} ago`,
    away: `Not connected · as of ${age} ago`,
  }[state];
  element('freshness').dataset['state'] = state;
  document.body.dataset['state'] = state;
  element('fresh-text').textContent = text;
}

type Shown = { readonly key: string; readonly className: string; readonly parts: readonly Node[] };

/** Marks what was not there before. */
function fill<T>(id: string, items: readonly T[], none: string, shownOf: (item: T) => Shown): void {
  const list = element(id);
  const isFirst = list.childElementCount === 0;
  const tag = list.tagName === 'OL' ? 'li' : 'article';
  const shown = items.map((item) => {
    const { key, className, parts } = shownOf(item);
    const isNew = !isFirst && !seen.has(`${id} ${key}`);
    seen.add(`${id} ${key}`);
    return part(tag, `${className}${isNew ? ' new' : ''}`, ...parts);
  });
  list.replaceChildren(...(shown.length === 0 ? [part(tag, 'empty', none)] : shown));
}

function rowOf(what: string, status: string, kind: string, time: string): readonly Node[] {
  const chip = part('span', 'chip', status.replaceAll('_', ' ').toLowerCase());
  chip.dataset['kind'] = kind;
  // Microseconds are more than people want to read.
  const when = new Date(time).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });
  return [part('span', '', what), chip, part('time', '', when)];
}

/** All digits count, the first ones more. */
function amountOf(amount: string): HTMLElement {
  const [whole = '', decimals = ''] = short(amount).split('.');
  return part('p', 'amount', whole, part('small', '', decimals === '' ? '' : `.${decimals}`));
}

/** An exact amount without its last zeros: text throughout, for numbers would lose digits. */
function short(amount: string): string {
  const [whole = '', decimals = ''] = amount.split('.');
  const rest = decimals.replace(/0+$/, '');
  return `${whole.replaceAll(/\B(?=(\d{3})+$)/g, ' ')}${rest === '' ? '' : `.${rest}`}`;
}

function isZero(amount: string): boolean {
  return /^-?0+(\.0+)?$/.test(amount);
}

function part(tag: string, className: string, ...children: readonly (Node | string)[]): HTMLElement {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`The page has no #${id}.`);
  return found;
}

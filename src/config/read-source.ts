/** Where something outside is read, and how far each source is believed: written `https://a`, `rotate:https://a|https://b`, `quorum:https://a|…` or `proxy`. */

/**
 * - `proxy`: the Scan proxy of our own validator, which asks several Scans itself.
 * - `rotate`: one instance at a time, chosen at random; after a failure another one.
 * - `quorum`: all instances at once; an answer counts when all but `faultsMax` of them gave it.
 */
export type ReadSource =
  | { readonly strategy: 'proxy' }
  | { readonly strategy: 'rotate'; readonly urls: readonly string[] }
  | { readonly strategy: 'quorum'; readonly urls: readonly string[]; readonly faultsMax: number };

/** `instrumentId` null: every instrument of the admin that has no entry of its own. */
export type ConfiguredRegistry = {
  readonly admin: string;
  readonly instrumentId: string | null;
  readonly source: ReadSource;
};

const INSTANCES_MAX = 50; // Each read of a quorum asks all of them.

/** @returns null for anything that is not a source: see {@link ReadSource}; `quorum2:` says how many may be wrong, else it is a third of them. */
export function parseReadSource(text: string): ReadSource | null {
  if (text === 'proxy') return { strategy: 'proxy' };
  const [, strategy = 'rotate', faults, list = ''] = /^(?:(rotate|quorum)(\d{0,2}):(?!\/\/))?(.*)$/s.exec(text) ?? [];
  const urls = list.split('|');
  const isUsable =
    urls.every(isPlainUrl) && new Set(urls.map(originAndPath)).size === urls.length && urls.length <= INSTANCES_MAX;
  if (!isUsable || (strategy === 'rotate' && (faults ?? '') !== '')) return null;
  if (strategy !== 'quorum') return { strategy: 'rotate', urls };
  // As the Scan proxy of Splice reckons it: of n instances fewer than a third may be wrong.
  const faultsMax = faults === '' || faults === undefined ? Math.floor((urls.length - 1) / 3) : Number(faults);
  return urls.length >= Math.max(2, 2 * faultsMax + 1) ? { strategy: 'quorum', urls, faultsMax } : null;
}

/** Inverse of {@link parseReadSource}. */
export function formatReadSource(source: ReadSource): string {
  if (source.strategy === 'proxy') return 'proxy';
  const faults = source.strategy === 'quorum' ? source.faultsMax : '';
  return `${source.strategy}${faults}:${source.urls.join('|')}`;
}

function isPlainUrl(text: string): boolean {
  const url = URL.parse(text);
  const isHttp = url !== null && (url.protocol === 'https:' || url.protocol === 'http:');
  return isHttp && url.username === '' && url.password === '' && url.search === '' && url.hash === '';
}

function originAndPath(text: string): string {
  const url = new URL(text);
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}

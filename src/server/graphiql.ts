/** The GraphiQL page: everything in one document, so that it works without internet, with sample operations to start from. */
import { renderGraphiQL } from '@graphql-yoga/render-graphiql';
import { PLACEHOLDERS, type SampleWithdrawal } from './graphiql-sample.ts';
import { SAMPLE_TABS } from './graphiql-samples.ts';
import { GRAPHQL_PATH } from './graphql-handler.ts';

export type { SampleWithdrawal } from './graphiql-sample.ts';

export const GRAPHIQL_PATH = '/graphiql';

/** The page loads nothing and connects to us alone. Its scripts are inline and its editors' workers are made from them (`blob:`). */
export const GRAPHIQL_HEADERS: Readonly<Record<string, string>> = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'unsafe-inline' blob:",
    'worker-src blob:',
    "style-src 'unsafe-inline'",
    'img-src data: blob:',
    'font-src data:',
    "connect-src 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
};

/**
 * GraphiQL animates its tabs into place and, with several tabs from the start, leaves them moved aside: the first press on one only makes it
 * jump away from under the pointer, and the click is lost. Without the movement they stand where they are drawn.
 */
const TABS_STAND_STILL = '<style>.graphiql-tab { transform: none !important; }</style>';

/**
 * @param isDevelopment subscriptions travel over WebSocket; with keys configured over SSE, which alone sends the page's Authorization header.
 * @param sampleWithdrawal fills in the samples of withdrawals, as far as it goes; whole, they run as they are.
 * @returns the page, 9 MB: made once.
 */
export function renderGraphiqlPage(options: {
  readonly isDevelopment: boolean;
  readonly sampleWithdrawal: Partial<SampleWithdrawal>;
}): string {
  const sample = { ...PLACEHOLDERS, ...options.sampleWithdrawal };
  const page = renderGraphiQL({
    title: 'Sluice',
    endpoint: GRAPHQL_PATH,
    subscriptionsProtocol: options.isDevelopment ? 'WS' : 'SSE',
    defaultTabs: SAMPLE_TABS.map(({ query, variablesOf }) => ({
      query,
      ...(variablesOf === undefined ? {} : { variables: JSON.stringify(variablesOf(sample), null, 2) }),
    })),
    ...(options.isDevelopment ? {} : { headers: '{\n  "Authorization": "Bearer "\n}' }),
  });
  return page.replace('</head>', () => `${TABS_STAND_STILL}</head>`);
}

/** The GraphiQL page: everything in one document, so that it works without internet, with sample operations to start from. */
import { renderGraphiQL } from '@graphql-yoga/render-graphiql';
import { GRAPHQL_PATH } from './graphql-handler.ts';

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

/** What the sample withdrawal asks for. */
export type SampleWithdrawal = {
  readonly idempotencyKey: string;
  readonly account: string;
  readonly instrumentAdmin: string;
  readonly instrumentId: string;
  /** A party id. */
  readonly receiver: string;
  /** Decimal text. */
  readonly amount: string;
};

/** Stand for what of a {@link SampleWithdrawal} is not known. */
const PLACEHOLDERS: SampleWithdrawal = {
  idempotencyKey: 'try-1',
  account: 'alice',
  instrumentAdmin: 'DSO::1220…',
  instrumentId: 'Amulet',
  receiver: 'customer::1220…',
  amount: '1.5',
};

type SampleOperation = {
  readonly title: string;
  readonly query: string;
  readonly variablesOf?: (sample: SampleWithdrawal) => Readonly<Record<string, unknown>>;
};

export const SAMPLE_OPERATIONS: readonly SampleOperation[] = [
  {
    title: 'Deposits',
    query: `# The newest deposits, and whom they belong to.
query Deposits {
  transfers(first: 20, direction: IN) {
    nodes {
      recordTime
      status
      amount
      instrument { name }
      memo
      attribution { account { customer } }
    }
    pageInfo { hasNextPage endCursor }
  }
}
`,
  },
  {
    title: 'DepositFeed',
    query: `# Every deposit as it is credited: run it and wait.
# Resume with the last cursor: deposits(after: "…")
subscription DepositFeed {
  deposits {
    cursor
    kind
    account
    amount
    instrument { instrumentId }
    memo
    recordTime
  }
}
`,
  },
  {
    title: 'IngestionProgress',
    query: `# How far the ledger's history is in the database.
subscription IngestionProgress {
  ingestionProgress {
    treasury { name }
    status
    updatesCount
    freshness { state ageMs recordTime }
  }
}
`,
  },
  {
    title: 'Balances',
    query: `# What the treasuries hold by the ledger, and what the books say of the customers.
query Balances {
  treasuryParties {
    nodes {
      name
      party
      balances { instrument { name } total available reserved locked incoming }
    }
  }
  accounts(first: 20) {
    nodes {
      customer
      balances { instrument { name } amount }
      depositAccounts { memo }
    }
  }
}
`,
  },
  {
    title: 'NewDepositAccount',
    query: `# A deposit address for a customer: a treasury party and a memo.
mutation NewDepositAccount {
  createDepositAccount(input: { account: "alice" }) {
    ... on CreateDepositAccountPayload {
      replayed
      depositAccount { memo addresses { party memo } }
    }
    ... on Error { code message why fix }
  }
}
`,
  },
  {
    title: 'WithdrawalPreflight',
    query: `# What would become of a withdrawal, before anybody
# asks for it: nothing is stored, reserved or signed.
# Ask again in a moment where somebody did not answer.
query WithdrawalPreflight($input: WithdrawalPreflightInput!) {
  withdrawalPreflight(input: $input) {
    outlook
    transferKind
    fee
    verdict { kind approvalsNeeded reasons }
    preapproval { expiresAt outlastsTarget }
    funds { state reach queued treasury { name } }
    checks { kind outcome code detail certainty asOf }
  }
}
`,
    variablesOf: ({ idempotencyKey: _key, ...input }) => ({ input }),
  },
  {
    title: 'NewWithdrawal',
    query: `# Pays a customer as the variables below say.
# Run it twice: the same key is the same withdrawal.
# Then follow it in the next tab. For another one
# choose another key, here and there. To see one
# fail, let the simulated network lose it: the
# terminal of \`npm start\` has the line for that.
mutation NewWithdrawal($input: CreateWithdrawalInput!) {
  createWithdrawal(input: $input) {
    ... on CreateWithdrawalPayload {
      replayed
      withdrawal { withdrawalId state amount receiver instrument { name } }
    }
    ... on Error { code message why fix }
  }
}
`,
    variablesOf: (input) => ({ input }),
  },
  {
    title: 'WithdrawalUpdated',
    query: `# One withdrawal, from where it stands to its end, by
# its key (or \`withdrawalId\`). In flight: \`decidableBy\`
# says until when its end can be unknown. Paid:
# \`transfer\` is the evidence. Failed: the proof that
# it did not pay and never will.
subscription WithdrawalUpdated($idempotencyKey: String!) {
  withdrawalUpdated(idempotencyKey: $idempotencyKey) {
    cursor
    state
    isFinal
    withdrawal {
      withdrawalId
      waitsFor
      decidableBy
      transfer { updateId recordTime status }
      failure { code detail }
      definiteFailureProof {
        attempt
        targetRecordTime
        passedRecordTime
        explanation
      }
    }
  }
}
`,
    variablesOf: ({ idempotencyKey }) => ({ idempotencyKey }),
  },
  {
    title: 'CancelWithdrawal',
    query: `# Asks for the end of a withdrawal. Queued: at once.
# In flight: a wish, and the ledger says which was
# faster, the payment or the end of its attempt.
mutation CancelWithdrawal($idempotencyKey: String!) {
  cancelWithdrawal(input: { idempotencyKey: $idempotencyKey }) {
    ... on CancelWithdrawalPayload {
      withdrawal { withdrawalId state isCancelRequested decidableBy }
    }
    ... on Error { code message why fix }
  }
}
`,
    variablesOf: ({ idempotencyKey }) => ({ idempotencyKey }),
  },
  {
    title: 'Withdrawals',
    query: `# The newest withdrawals, and what was done to pay
# them. Only the open ones:
# withdrawals(first: 20, filter: { isFinal: false })
query Withdrawals {
  withdrawals(first: 20) {
    nodes {
      withdrawalId
      state
      isFinal
      waitsFor
      account { customer }
      amount
      instrument { name }
      decidableBy
      attempts { number state tries targetRecordTime isSignatureRequested lastError }
      transfer { updateId }
      failure { code detail }
      definiteFailureProof { explanation }
    }
    pageInfo { hasNextPage endCursor }
  }
}
`,
  },
  {
    title: 'Ingestion',
    query: `# Where ingestion stands, what you may do, and where a feed can start.
query Ingestion {
  ingestionStreams {
    treasury { name party }
    status
    updatesCount
    quarantinedCount
    synchronizers { synchronizerId recordTime }
    freshness { state ageMs recordTime position }
  }
  viewer { name scopes }
  eventLog { epoch startCursor headCursor }
}
`,
  },
];

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
    defaultTabs: SAMPLE_OPERATIONS.map(({ query, variablesOf }) => ({
      query,
      ...(variablesOf === undefined ? {} : { variables: JSON.stringify(variablesOf(sample), null, 2) }),
    })),
    ...(options.isDevelopment ? {} : { headers: '{\n  "Authorization": "Bearer "\n}' }),
  });
  return page.replace('</head>', () => `${TABS_STAND_STILL}</head>`);
}

/** Sample operations about customers' money: what came, what is there and was there, what goes, who keeps the balances. */
import type { SampleTab } from './graphiql-sample.ts';

export const CUSTOMER_SAMPLES: readonly SampleTab[] = [
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
    title: 'Balances',
    query: `# What the treasuries hold by the ledger, and what
# the books say of the customers. freshness tells
# how old all of the answer is.
query Balances {
  freshness { state ageMs recordTime position }
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
      held { instrument { name } amount }
      depositAccounts { memo }
    }
  }
}

# The contracts behind it, newest first.
query Holdings {
  holdings(first: 20) {
    nodes { contractId amount instrument { name } treasury { name } }
    pageInfo { hasNextPage endCursor }
  }
}
`,
  },
  {
    title: 'Funds',
    query: `# What one customer has, and every movement with
# its cause: from the books, which are moved by what
# the ledger shows and by withdrawals.
query Funds($customer: String!) {
  account(customer: $customer) {
    customer
    funds {
      instrument { name }
      available
      inWithdrawals
      held
      total
    }
    depositAccounts { memo state }
  }
}

query Journal($customer: String!) {
  accountJournal(customer: $customer, first: 20) {
    nodes {
      recordTime
      cause
      causeId
      amount
      instrument { name }
    }
    pageInfo { hasNextPage endCursor }
  }
}
`,
    variablesOf: ({ account }) => ({ customer: account }),
  },
  {
    title: 'Freshness',
    query: `# How old an answer is, beside whatever it answers;
# and how new it has to be: AtLeast waits until the
# database that answers has what you have seen, or
# says NOT_CAUGHT_UP. Put into the variables the
# \`cursor\` of an event or of a mutation's payload,
# or the \`position\` of Freshness.
query Freshness {
  freshness { state ageMs recordTime position }
  balances(first: 20) {
    nodes {
      instrument { name }
      total
      available
      reserved
      locked
      incoming
    }
  }
}

query AtLeast($cursor: Cursor, $waitMs: Int)
@atLeast(cursor: $cursor, waitMs: $waitMs) {
  freshness { state position }
  withdrawals(first: 3) { nodes { withdrawalId state } }
}
`,
    variablesOf: () => ({ cursor: null, waitMs: 2000 }),
  },
  {
    title: 'PastBalances',
    query: `# What was at a time of the past: of the ledger, and
# in a customer's account. PastBalances says from
# when to when can be asked; put a time between into
# the variables, or {"cursor": "…"} of an event.
query PastBalances {
  availableRange { treasury { name } from to }
  eventLog { startCursor headCursor }
}

query BalancesAsOf($asOf: AsOf!) {
  balancesAsOf(asOf: $asOf, first: 20) {
    nodes {
      recordTime
      treasury { name }
      instrument { name }
      total
      locked
      incoming
    }
  }
}

query AccountAsOf($customer: String!, $asOf: AsOf!) {
  account(customer: $customer) {
    balancesAsOf(asOf: $asOf) {
      recordTime
      instrument { name }
      amount
    }
  }
}
`,
    variablesOf: ({ account, asOf }) => ({ asOf: { recordTime: asOf }, customer: account }),
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
    variablesOf: ({ idempotencyKey: _key, asOf: _asOf, ...input }) => ({ input }),
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
    variablesOf: ({ asOf: _asOf, ...input }) => ({ input }),
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

# Every end of one, as it comes: run it and wait.
# Resume with the last cursor.
subscription WithdrawalFeed {
  withdrawals(filter: { isFinal: true }) {
    cursor
    eventId
    withdrawalId
    state
    failureCode
    updateId
  }
}
`,
  },
  {
    title: 'CustomerBooks',
    query: `# Who keeps the balances of customers. Here it is the
# exchange, and PostTransfer is refused with what to
# do (BOOKS_EXTERNAL). Start by
#   SLUICE_CUSTOMER_BOOKS=internal npm start
# and Sluice keeps them: a trade, a fee or a bonus
# is a post transfer, and nobody gives what he has
# not. docs/guides/books.md
query CustomerBooks {
  customerBooks {
    mode
    isBehind
    houseBalances { houseAccount instrument { name } amount }
  }
}

mutation PostTransfer($post: PostTransferInput!) {
  postTransfer(input: $post) {
    ... on PostTransferPayload {
      replayed
      cursor
      postTransfer {
        postTransferId
        postedAt
        lines { account { customer } houseAccount amount }
      }
    }
    ... on CustomerFundsError {
      shortfalls { account available asked }
    }
    ... on Error { code message why fix }
  }
}

query PostTransferByKey($key: String!) {
  postTransfer(idempotencyKey: $key) { postTransferId reference postedAt }
}
`,
    variablesOf: ({ account, instrumentAdmin, instrumentId }) => ({
      post: {
        idempotencyKey: 'fee-1',
        reference: 'a fee',
        lines: [
          { account, instrumentAdmin, instrumentId, amount: '-0.25' },
          { houseAccount: 'FEES', instrumentAdmin, instrumentId, amount: '0.25' },
        ],
      },
      key: 'fee-1',
    }),
  },
];

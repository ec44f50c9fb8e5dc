/** Sample operations about customers' money: what came, what is there, what goes. */
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
];

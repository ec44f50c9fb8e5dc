/** Sample operations for people who decide and look after it: the desk, approvals, policy, halts, tokens, books, the event log. */
import type { SampleTab } from './graphiql-sample.ts';

export const OPERATOR_SAMPLES: readonly SampleTab[] = [
  {
    title: 'Desk',
    query: `# Deposits and offers that name nobody, and whose
# they are: Desk gives the ids. Above the limit of
# one person a decision waits for a second one.
query Desk {
  deskCases(first: 20, states: [OPEN]) {
    nodes { transferId state amount memo sender instrument { name } }
  }
}

mutation AssignDeposit($assign: AssignDepositInput!) {
  assignDeposit(input: $assign) {
    ... on DeskPayload { deskCase { transferId state } }
    ... on Error { code message why fix }
  }
}

mutation RefundDeposit($refund: RefundDepositInput!) {
  refundDeposit(input: $refund) {
    ... on DeskPayload { deskCase { transferId state } }
    ... on Error { code message why fix }
  }
}
`,
    variablesOf: ({ account }) => ({
      assign: { transferId: 'tr_…', account, reason: 'He sent the receipt.' },
      refund: { transferId: 'tr_…', reason: 'Nobody knows whose it is.' },
    }),
  },
  {
    title: 'Approvals',
    query: `# Withdrawals that people have to approve; there
# are some once a policy demands it (tab Policy).
# Approve as somebody else than who asked: set the
# header {"authorization": "Bearer dev-alice"}.
query Approvals {
  pendingApprovals(first: 20) {
    nodes {
      intentHash
      approvalsGiven
      approvalsNeeded
      reasons { rule text }
      withdrawal { withdrawalId amount receiver instrument { name } }
    }
  }
}

mutation Approve($decision: WithdrawalApprovalInput!) {
  approveWithdrawal(input: $decision) {
    ... on ApprovalPayload { policy { leave approvalsGiven approvalsNeeded } }
    ... on Error { code message why fix }
  }
}

mutation Reject($decision: WithdrawalApprovalInput!) {
  rejectWithdrawal(input: $decision) {
    ... on ApprovalPayload { policy { leave } }
    ... on Error { code message why fix }
  }
}

subscription ApprovalFeed {
  pendingApprovals { cursor change by withdrawalId }
}
`,
    variablesOf: () => ({
      decision: {
        withdrawalId: 'wd_…',
        intentHash: 'as Approvals shows it',
        reason: 'Receiver and amount are as agreed.',
      },
    }),
  },
  {
    title: 'Policy',
    query: `# Which policy holds, and what is proposed. Other
# people approve a proposal, and its delay passes.
query Policy {
  policy {
    version
    changeApprovals
    changeDelaySeconds
    document
    proposals { proposalId state proposedBy reason effectiveAt }
  }
}

mutation ProposePolicy($proposal: ProposePolicyInput!) {
  proposePolicy(input: $proposal) {
    ... on PolicyPayload { proposal { proposalId state hash } }
    ... on Error { code message why fix }
  }
}
`,
    variablesOf: () => ({
      proposal: { document: '{}', reason: 'The document is described in docs/guides/policy.md.' },
    }),
  },
  {
    title: 'Halts',
    query: `# Kill switches: while one stands, nothing of what
# it covers is signed, in any process. HaltMoney
# takes one person, LiftHalt two: call it as
# dev-operator and as developer. Freezes are what
# Sluice stopped by itself.
query Halts {
  halts(first: 10, isOpen: true) {
    nodes { haltId why haltedBy haltedAt liftAskedBy instrument { name } treasury { name } }
  }
  freezes(first: 10, isOpen: true) {
    nodes { freezeId reason detail openedAt }
  }
}

mutation HaltMoney($halt: HaltMoneyInput!) {
  haltMoney(input: $halt) {
    ... on HaltPayload { replayed halt { haltId haltedAt } }
    ... on Error { code message why fix }
  }
}

mutation LiftHalt($lift: LiftHaltInput!) {
  liftHalt(input: $lift) {
    ... on HaltPayload { halt { haltId liftAskedBy liftedAt } }
    ... on Error { code message why fix }
  }
}
`,
    variablesOf: ({ instrumentAdmin, instrumentId }) => ({
      halt: { instrumentAdmin, instrumentId, why: 'Trying the switch.' },
      lift: { haltId: 'ht_…', why: 'It was only tried.' },
    }),
  },
  {
    title: 'Tokens',
    query: `# Which tokens are taken and paid, and what their
# registries say of them; what customers send that
# is not taken. \`examples/onboard-token\` takes one on.
query Tokens {
  tokens(first: 20) {
    nodes {
      instrument { name admin instrumentId }
      isFrozen
      version
      creditsDeposits
      acceptsOffers
      depositMin
      paysDirect
      paysOffers
      pinned { name symbol decimals }
      registryDiffers { field pinned found }
      packagesMissing { treasury package why }
    }
  }
  instruments(first: 20, isAccepted: false) {
    nodes { name admin instrumentId }
  }
}
`,
  },
  {
    title: 'Books',
    query: `# What the books and the ledger say of each other,
# and who changed what: the chain of the audit.
query Books {
  verifications {
    treasury { name }
    triedAt
    trouble
  }
  auditEntries(first: 10) {
    nodes { position at principal action subjectType subject }
  }
}
`,
  },
  {
    title: 'Events',
    query: `# Everything that happens, in one typed stream.
# Only some: events(types: [DEPOSIT_CREDITED])
# Resume with the last cursor: events(after: "…")
subscription Events {
  events {
    cursor
    type
    subject
    recordedAt
    payload
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
  {
    title: 'LastUpdates',
    query: `# What an update of the ledger did, in plain words.
# LastUpdates gives ids to put into the variables.
query LastUpdates {
  transfers(first: 5) {
    nodes { updateId direction kind amount status }
  }
}

query Explain($updateId: String!) {
  explain(updateId: $updateId) {
    recordTime
    text
    transfers { transferId amount status }
  }
}
`,
    variablesOf: () => ({ updateId: '1220…' }),
  },
];

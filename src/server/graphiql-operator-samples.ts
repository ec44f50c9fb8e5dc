/** Sample operations for people who decide and look after it: the desk, approvals, policy, what is stuck, halts, tokens, books, audit, the event log. */
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

# What senders offered, and what is done about it.
query Offers {
  offers(first: 20, isOpen: true) {
    nodes {
      transferId
      sender
      amount
      memo
      account
      status
      action { choice state reason }
    }
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
    title: 'Stuck',
    query: `# Withdrawals that are older than they should be, why,
# and what to do; empty when all is well. To see one:
# halt (tab Halts), ask for a payment under another
# key (NewWithdrawal), and hold it here by its id.
query Stuck {
  stuckWithdrawals(first: 20) {
    code
    since
    detail
    advice
    withdrawal {
      withdrawalId
      state
      waitsFor
      amount
      instrument { name }
      account { customer }
      stops { kind why setBy setAt }
    }
  }
}

mutation Hold($control: WithdrawalControlInput!) {
  holdWithdrawal(input: $control) {
    ... on WithdrawalControlPayload { withdrawal { state waitsFor } }
    ... on Error { code message why fix }
  }
}

mutation Resume($control: WithdrawalControlInput!) {
  resumeWithdrawal(input: $control) {
    ... on WithdrawalControlPayload { withdrawal { state waitsFor } }
    ... on Error { code message why fix }
  }
}
`,
    variablesOf: () => ({ control: { withdrawalId: 'wd_…', why: 'Trying it.' } }),
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

# Whom we ask, who fails or says something else than
# the others, and what traffic is left to submit with.
query Registries {
  registryInstances(first: 20) {
    nodes {
      url
      state
      failed
      dissented
      lastFailure
      restsUntil
    }
  }
  participantTraffic {
    participant
    state
    balance
    hoursLeft
    alarm
  }
}
`,
  },
  {
    title: 'Books',
    query: `# What the active contracts of the participant, our
# holdings and the books say of each other: compared
# in the background, and at once by \`sluice verify\`.
query Books {
  verifications {
    treasury { name }
    triedAt
    trouble
    result {
      instruments {
        instrument { name }
        onLedger
        inHoldings
        inBooks
      }
    }
  }
  treasuryFunds {
    treasury { name }
    instrument { name }
    free
    freeCount
    reserved
    locked
  }
}
`,
  },
  {
    title: 'Audit',
    query: `# Who changed what, newest last; each entry holds the
# hash of the one before. AuditOf narrows it down.
query Audit {
  auditEntries(last: 20) {
    nodes {
      position
      at
      principal
      action
      subjectType
      subject
      before
      after
    }
    pageInfo { hasPreviousPage startCursor }
  }
  auditChain {
    entriesCount
    head
    waitingCount
    verdict { checkedCount brokenAt }
  }
}

query AuditOf($filter: AuditFilter!) {
  auditEntries(first: 20, filter: $filter) {
    nodes { at principal action subject inputHash hash }
  }
}
`,
    variablesOf: () => ({ filter: { action: 'createWithdrawal' } }),
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

# What this installation is, and what it bounds.
query Service {
  serviceConfig {
    version
    network
    paysOut
    limits {
      pageSizeMax
      bodyBytesMax
      executionMsMax
      query { depthMax fieldsMax aliasesMax costMax }
      client { socketsMax subscriptionsMax requestsPerSecond requestsBurst }
    }
  }
}
`,
  },
  {
    title: 'LastUpdates',
    query: `# What an update of the ledger did, in plain words.
# LastUpdates gives ids to put into the variables.
# Proof is what somebody else needs to verify one.
query LastUpdates {
  transfers(first: 5) {
    nodes { updateId transferId direction kind amount status }
  }
}

query Explain($updateId: String!) {
  explain(updateId: $updateId) {
    recordTime
    text
    transfers { transferId amount status }
  }
}

query Proof($transferId: String!) {
  proofOfTransfer(transferId: $transferId) {
    isSettled
    updateId
    recordTime
    synchronizerId
    transfer { amount instrument { admin instrumentId } }
  }
}
`,
    variablesOf: () => ({ updateId: '1220…', transferId: 'tr_…' }),
  },
];

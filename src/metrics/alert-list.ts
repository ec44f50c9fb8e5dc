/**
 * When somebody is to be told, each with the page that says what to do. deploy/alerts.yaml is made from this list; a test holds that every metric in it exists and every page is there.
 *
 * Metrics of the tables are the same at every process, hence `max by`. Times are generous where things mend themselves: whoever is woken should find something that is still wrong.
 */
export type Alert = {
  readonly name: string;
  /** PromQL; true while there is a result. */
  readonly expression: string;
  /** For how long it has to be true. */
  readonly for: string;
  /** `page`: money stands still or may be wrong, at any hour. `ticket`: within a working day. */
  readonly severity: 'page' | 'ticket';
  readonly summary: string;
  /** A file of docs/runbooks. */
  readonly runbook: string;
};

export const ALERTS: readonly Alert[] = [
  {
    name: 'SluiceStreamHalted',
    expression: 'max by (treasury) (sluice_ingestion_halted) == 1',
    for: '0m',
    severity: 'page',
    summary: 'The stream of {{ $labels.treasury }} is halted: its position is in doubt.',
    runbook: 'halted-stream.md',
  },
  {
    name: 'SluiceIngestionStalled',
    expression: 'max by (treasury) (sluice_ingestion_silence_seconds) > 150',
    for: '2m',
    severity: 'page',
    summary: 'Nothing was heard of the ledger for {{ $labels.treasury }} for {{ $value | humanizeDuration }}.',
    runbook: 'ingestion-stalled.md',
  },
  {
    name: 'SluiceLedgerQuiet',
    expression: 'max by (treasury) (sluice_ingestion_lag_seconds) > 2100',
    for: '5m',
    severity: 'page',
    summary: 'What is known of {{ $labels.treasury }} is {{ $value | humanizeDuration }} old: nothing is paid.',
    runbook: 'ingestion-stalled.md',
  },
  {
    name: 'SluiceBooksDiffer',
    expression: 'max by (treasury) (sluice_books_differ) == 1',
    for: '2m',
    severity: 'page',
    summary: 'Books and ledger differ for {{ $labels.treasury }}.',
    runbook: 'books-differ.md',
  },
  {
    name: 'SluiceInvariantBroken',
    expression:
      'max by (invariant) (sluice_invariant_broken) == 1 or max(sluice_freezes_open{reason="AUDIT_CHANGED"}) > 0',
    for: '0m',
    severity: 'page',
    summary: 'What must always hold does not: {{ $labels.invariant }}. Money stands still.',
    runbook: 'invariant-broken.md',
  },
  {
    name: 'SluiceInvariantsNotLookedAt',
    expression: 'min(sluice_invariant_age_seconds) > 3600',
    for: '5m',
    severity: 'ticket',
    summary: 'The invariants were not looked at for {{ $value | humanizeDuration }}.',
    runbook: 'invariant-broken.md',
  },
  {
    name: 'SluiceBooksNotCompared',
    expression: 'min by (treasury) (sluice_verification_age_seconds) > 1800',
    for: '5m',
    severity: 'ticket',
    summary:
      'The books of {{ $labels.treasury }} were not compared with the ledger for {{ $value | humanizeDuration }}.',
    runbook: 'books-differ.md',
  },
  {
    name: 'SluiceMoneyFrozen',
    // What a person froze he knows of: a token that is not enabled yet, or not any more, would wake somebody for as long as it is one.
    expression: 'max by (reason) (sluice_freezes_open{reason!="OPERATOR"}) > 0',
    for: '5m',
    severity: 'page',
    summary: 'Money is frozen because of {{ $labels.reason }}.',
    runbook: 'money-frozen.md',
  },
  {
    name: 'SluiceQuarantine',
    expression: 'max by (treasury) (sluice_quarantine_open) > 0',
    for: '1m',
    severity: 'page',
    summary: '{{ $value }} updates of {{ $labels.treasury }} are not understood.',
    runbook: 'quarantine.md',
  },
  {
    name: 'SluiceWithdrawalsStuck',
    expression: 'max by (code) (sluice_withdrawals_stuck{code!="APPROVAL"}) > 0',
    for: '10m',
    severity: 'page',
    summary: '{{ $value }} withdrawals are older than they should be: {{ $labels.code }}.',
    runbook: 'withdrawals-stuck.md',
  },
  {
    name: 'SluiceApprovalsWait',
    expression: 'max by (code) (sluice_withdrawals_stuck{code="APPROVAL"}) > 0',
    for: '30m',
    severity: 'ticket',
    summary: '{{ $value }} withdrawals wait for people.',
    runbook: 'withdrawals-stuck.md',
  },
  {
    name: 'SluicePreapprovalEnding',
    expression: 'min by (treasury) (sluice_preapproval_expiry_seconds) < 14 * 86400',
    for: '1h',
    severity: 'ticket',
    summary: 'The preapproval of {{ $labels.treasury }} ends in {{ $value | humanizeDuration }}.',
    runbook: 'preapproval.md',
  },
  {
    name: 'SluiceTrafficLow',
    expression:
      'min by (participant) (sluice_traffic_left_bytes) < 2 * scalar(max(sluice_traffic_reserve_bytes)) or min by (participant) (predict_linear(sluice_traffic_left_bytes[1h], 86400)) < 0',
    for: '15m',
    severity: 'page',
    summary: 'The extra traffic of {{ $labels.participant }} ends within a day.',
    runbook: 'traffic.md',
  },
  {
    name: 'SluiceSignerAway',
    expression:
      '(sum(increase(sluice_signer_answers_total{result!="SIGNED"}[10m])) > 3) unless (sum(increase(sluice_signer_answers_total{result="SIGNED"}[10m])) > 0)',
    for: '2m',
    severity: 'page',
    summary: 'The signer was asked and signed nothing for ten minutes.',
    runbook: 'signer-away.md',
  },
  {
    name: 'SluiceSignerRefuses',
    expression:
      'sum by (result) (increase(sluice_signer_answers_total{result=~"SIGNING_.*|SIGNATURE_INVALID"}[10m])) > 0',
    for: '0m',
    severity: 'page',
    summary: 'The signer refuses what it is shown: {{ $labels.result }}.',
    runbook: 'signer-away.md',
  },
  {
    name: 'SluiceDatabaseWentBack',
    expression:
      'max(sluice_freezes_open{reason="DATABASE_WENT_BACK"}) > 0 or max(sluice_restored_withdrawals_open) > 0',
    for: '0m',
    severity: 'page',
    summary: 'The database went back in time.',
    runbook: 'database-went-back.md',
  },
  {
    name: 'SluiceDatabaseAway',
    expression: 'max(sluice_database_up) == 0',
    for: '1m',
    severity: 'page',
    summary: 'No process reaches the database.',
    runbook: 'database-away.md',
  },
  {
    name: 'SluiceDown',
    expression: 'absent(sluice_build_info)',
    for: '2m',
    severity: 'page',
    summary: 'No process of Sluice is there.',
    runbook: 'not-ready.md',
  },
  {
    name: 'SluiceNoWorker',
    expression: 'absent(sluice_build_info{role=~"worker|all"})',
    for: '2m',
    severity: 'page',
    summary: 'No process follows the ledger.',
    runbook: 'not-ready.md',
  },
  {
    name: 'SluiceNotReady',
    expression: 'sluice_ready == 0',
    for: '10m',
    severity: 'ticket',
    summary: '{{ $labels.instance }} is up and not ready.',
    runbook: 'not-ready.md',
  },
  {
    name: 'SluiceEventsWait',
    // Under load there are always some that wait for a moment: they do not reach it while it stands still, or while more wait than are counted.
    expression:
      '(max(min_over_time(sluice_outbox_waiting[2m])) > 0 and max(changes(sluice_log_position[2m])) == 0) or max(min_over_time(sluice_outbox_waiting[2m])) >= 10000',
    for: '2m',
    severity: 'page',
    summary: 'Committed events do not reach the log: subscribers are told nothing.',
    runbook: 'not-ready.md',
  },
  {
    name: 'SluiceIssuerAway',
    expression: 'max by (instance) (sluice_jwks_age_seconds) > 3600',
    for: '5m',
    severity: 'ticket',
    summary: '{{ $labels.instance }} has not reached an identity provider for {{ $value | humanizeDuration }}.',
    runbook: 'issuer-away.md',
  },
  {
    name: 'SluiceOverload',
    expression:
      'min_over_time(sluice_event_loop_lag_seconds{quantile="p99"}[5m]) > 0.5 or min_over_time(sluice_database_waiting[5m]) > 0',
    for: '5m',
    severity: 'ticket',
    summary: '{{ $labels.instance }} has more to do than it can.',
    runbook: 'overload.md',
  },
  {
    name: 'SluiceNotificationsUnread',
    expression: 'max(sluice_notification_queue_ratio) > 0.1',
    for: '5m',
    severity: 'page',
    summary:
      'A session of the database listens and does not read: {{ $value | humanizePercentage }} of the room for notifications is taken, and when it is full nothing is committed.',
    runbook: 'database-away.md',
  },
  {
    name: 'SluiceRegistryAway',
    expression: 'max(sluice_registry_instances_failing) > 0',
    for: '15m',
    severity: 'ticket',
    summary: '{{ $value }} instances of registries or Scan fail.',
    runbook: 'registry-away.md',
  },
];

-- Continuity: where each offset space of a stream began, what was taken over as an opening balance, and what is known to be missing.

-- One row per epoch of a stream: from where it was read, and what in our history proves that this is the right place. Written once, with the position itself.
CREATE TABLE stream_epoch (
  treasury_id             integer NOT NULL REFERENCES treasury_party,
  epoch                   integer NOT NULL,
  reason                  text NOT NULL CHECK (reason IN ('BEGINNING', 'OPENING', 'PARTICIPANT_CHANGED', 'OFFSETS_CHANGED', 'RECOVERED')),
  participant_id          text NOT NULL,
  anchor_update_id        text,                    -- the newest update of ours, which the participant showed; null: none was needed ...
  anchor_offset           bigint,                  -- ... and where it stands in this epoch
  resumed_offset          bigint NOT NULL,         -- where reading began, exclusive
  previous_participant_id text,
  previous_offset         bigint,
  detail                  text NOT NULL,           -- for people
  started_at              bigint NOT NULL,         -- wall clock
  PRIMARY KEY (treasury_id, epoch)
);

-- A part of the ledger's history that this database does not have and an operator has accepted to be without. Never deleted.
CREATE TABLE history_gap (
  treasury_id         integer NOT NULL,
  epoch               integer NOT NULL,            -- the one that begins behind the gap
  after_update_id     text,                        -- the newest update before it; null: none
  after_record_time   bigint,
  position_offset     bigint NOT NULL,             -- where the stream stood, in offsets of the epoch before ...
  pruned_offset       bigint NOT NULL,             -- ... and up to where the participant had forgotten, in its own
  resumed_offset      bigint NOT NULL,             -- where reading goes on
  contracts_vanished  integer NOT NULL,            -- holdings of ours that were gone behind it
  contracts_appeared  integer NOT NULL,            -- holdings of ours that were new behind it
  recorded_by         text NOT NULL,
  recorded_at         bigint NOT NULL,
  PRIMARY KEY (treasury_id, epoch),
  FOREIGN KEY (treasury_id, epoch) REFERENCES stream_epoch
);

-- Holdings that were there before the first update we read: an opening balance, never a deposit. The check is read once over the table, nothing is rewritten.
ALTER TABLE transfer DROP CONSTRAINT transfer_kind_check;
ALTER TABLE transfer ADD CONSTRAINT transfer_kind_check CHECK (kind IN ('DIRECT', 'OFFER', 'MERGE', 'MINT', 'BURN', 'UNEXPLAINED', 'OPENING'));

-- What was ours before, and belongs to nobody here until somebody says so.
ALTER TABLE account DROP CONSTRAINT account_kind_check;
ALTER TABLE account ADD CONSTRAINT account_kind_check CHECK (kind IN ('CUSTOMER', 'TREASURY', 'UNATTRIBUTED', 'UNEXPLAINED', 'FEES', 'HOUSE',
  'IN_TRANSIT', 'BETWEEN_TREASURIES', 'WITHDRAWALS', 'OPENING'));

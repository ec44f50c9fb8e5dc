-- The token directory: which registry speaks for an admin, what we do with each of its instruments, and what its registry said when it was onboarded.
-- And each treasury party's transfer preapproval, as its participant last showed it.

-- Where the registry of an instrument admin is found, and how it is read. One row per admin, whatever number of its instruments we take; an instrument may have one of its own.
CREATE TABLE registry (
  network_id    smallint NOT NULL REFERENCES network,
  admin         text NOT NULL,
  instrument_id text NOT NULL,                     -- '': every instrument of the admin that has no row of its own
  strategy      text NOT NULL CHECK (strategy IN ('PROXY', 'ROTATE', 'QUORUM')),
  urls          text[] NOT NULL,                   -- none for PROXY: our own validator's Scan proxy
  faults_max    smallint NOT NULL DEFAULT 0 CHECK (faults_max >= 0), -- QUORUM: how many of the URLs may be wrong
  PRIMARY KEY (network_id, admin, instrument_id),
  CHECK ((strategy = 'PROXY') = (cardinality(urls) = 0) AND cardinality(urls) <= 64),
  CHECK (CASE WHEN strategy = 'QUORUM' THEN cardinality(urls) > 2 * faults_max ELSE faults_max = 0 END)
);

-- What we do with an instrument. Its row in `instrument` says that we have seen it; this one, that somebody decided about it. Frozen or not is not here: `money_freeze`
-- is the one place that says what must not move.
CREATE TABLE token (
  instrument_id          integer PRIMARY KEY REFERENCES instrument,
  implementation         text NOT NULL CHECK (implementation IN ('SPLICE_AMULET', 'UTILITY_REGISTRY', 'OTHER')),
  packages               text[] NOT NULL,         -- names of the packages that every hosting participant has to know and vet
  credits_deposits       boolean NOT NULL,
  accepts_offers         boolean NOT NULL,
  deposit_min            ledger_amount NOT NULL CHECK (deposit_min >= 0), -- of an offer, to be accepted; what came directly is here already
  pays_direct            boolean NOT NULL,
  pays_offers            boolean NOT NULL,
  offer_validity_seconds integer NOT NULL CHECK (offer_validity_seconds BETWEEN 60 AND 31536000),
  version                integer NOT NULL DEFAULT 1, -- of the policy: who changes it says which one he saw
  onboarded_at           bigint NOT NULL,         -- wall clock
  onboarded_by           text NOT NULL,           -- a principal, or `configuration`
  -- as the registry said when it was first asked; whatever it says later is compared with this and never takes its place by itself
  pinned_at              bigint,
  pinned_name            text,
  pinned_symbol          text,
  pinned_decimals        smallint,
  -- the last look at the registry
  registry_tried_at      bigint,
  registry_checked_at    bigint,
  registry_trouble       text,                    -- why the last look brought nothing; null: it did
  registry_differs       jsonb,                   -- [{"field", "pinned", "found"}]: what is refused until somebody pins anew; null: nothing
  -- the last look at the hosting participants
  packages_checked_at    bigint,
  packages_missing       jsonb,                   -- [{"package", "participant"}]; null: nothing
  packages_trouble       text,
  CHECK ((pinned_at IS NULL) = (pinned_name IS NULL) AND (pinned_at IS NULL) = (pinned_symbol IS NULL) AND (pinned_at IS NULL) = (pinned_decimals IS NULL))
);

-- Who changed what, and why. Insert-only.
CREATE TABLE token_change (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  instrument_id integer NOT NULL REFERENCES instrument,
  action        text NOT NULL CHECK (action IN ('ADDED', 'POLICY', 'REGISTRY', 'PINNED', 'FROZEN', 'ENABLED')),
  changed_at    bigint NOT NULL,                  -- wall clock
  changed_by    text NOT NULL,
  why           text NOT NULL,
  before        jsonb,                            -- null: there was nothing
  after         jsonb NOT NULL
);
CREATE INDEX token_change_by_instrument ON token_change (instrument_id, id);

-- The treasury's own transfer preapproval of an instrument, read from the participant's active contracts.
CREATE TABLE preapproval (
  treasury_id          integer NOT NULL REFERENCES treasury_party,
  instrument_id        integer NOT NULL REFERENCES instrument,
  tried_at             bigint NOT NULL,           -- wall clock of the last look ...
  trouble              text,                      -- ... and why it brought nothing; null: it did
  checked_at           bigint,                    -- wall clock of the last one that did; what follows is as of then
  ledger_offset        bigint,
  contract_id          text,                      -- null: there is none. Of several, the one that lasts longest
  provider             text,
  valid_from           bigint,
  last_renewed_at      bigint,
  expires_at           bigint,
  proposal_contract_id text,                      -- an open proposal to the provider; null: none
  proposal_provider    text,
  PRIMARY KEY (treasury_id, instrument_id),
  CHECK ((contract_id IS NULL) = (expires_at IS NULL) AND (contract_id IS NULL) = (provider IS NULL)),
  CHECK ((proposal_contract_id IS NULL) = (proposal_provider IS NULL))
);

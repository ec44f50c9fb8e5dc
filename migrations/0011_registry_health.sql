-- What each process found of the registry and Scan instances it asks, so that whoever serves the API can show it.

CREATE TABLE registry_instance (
  process          text NOT NULL,                  -- host, pid and a random part: one per start
  url              text NOT NULL CHECK (octet_length(url) <= 1000),
  state            text NOT NULL CHECK (state IN ('WELL', 'FAILING', 'RESTING', 'PROBING')),
  asked            bigint NOT NULL,
  answered         bigint NOT NULL,
  failed           bigint NOT NULL,
  spared           bigint NOT NULL,
  dissented        bigint NOT NULL,
  rests_until      bigint,                         -- wall clock, as all times here
  last_answer_at   bigint,
  last_failure_at  bigint,
  last_failure     text,                           -- its code
  last_dissent_at  bigint,
  last_dissent     text,                           -- what was asked
  reported_at      bigint NOT NULL,
  PRIMARY KEY (url, process)
);

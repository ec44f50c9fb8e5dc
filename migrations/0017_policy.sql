-- Who may have what paid without anybody else being asked: versions of the policy, what it said of each withdrawal, and what people and the screening service said to that.

-- Two keys of one person have one name before the slash: alice/laptop and alice/phone. Nobody can be told from himself by his spelling.
CREATE FUNCTION person_of(principal text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  RETURN lower(split_part(principal, '/', 1));

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'What % holds is never changed or deleted.', TG_TABLE_NAME
    USING ERRCODE = 'check_violation', CONSTRAINT = TG_TABLE_NAME || '_is_insert_only', TABLE = TG_TABLE_NAME;
END $$;

-- ---------------------------------------------------------------------------------------------------------------- the policy

-- A policy that somebody wants. Its text is what its hash is of, and what others approve.
CREATE TABLE policy_proposal (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  network_id    smallint NOT NULL REFERENCES network,
  based_on      integer NOT NULL CHECK (based_on >= 0), -- the newest version when it was proposed; 0: there was none
  document      text NOT NULL CHECK (octet_length(document) BETWEEN 2 AND 262144), -- canonical JSON
  document_hash bytea NOT NULL CHECK (document_hash = sha256(convert_to(document, 'UTF8'))),
  why           text NOT NULL,
  proposed_by   text NOT NULL,
  proposer      text NOT NULL GENERATED ALWAYS AS (person_of(proposed_by)) STORED,
  proposed_at   bigint NOT NULL,                   -- wall clock, as all times here
  expires_at    bigint NOT NULL,
  CHECK (expires_at > proposed_at)
);
CREATE INDEX policy_proposal_by_network ON policy_proposal (network_id, id);

-- What others say to it. One word per person.
CREATE TABLE policy_judgement (
  proposal_id   bigint NOT NULL REFERENCES policy_proposal,
  person        text NOT NULL GENERATED ALWAYS AS (person_of(judged_by)) STORED,
  decision      text NOT NULL CHECK (decision IN ('APPROVE', 'REFUSE')),
  document_hash bytea NOT NULL,                    -- of what was looked at
  judged_by     text NOT NULL,
  judged_at     bigint NOT NULL,
  why           text NOT NULL,
  PRIMARY KEY (proposal_id, person)
);

-- A proposal that enough people approved, and from when it holds. Numbered without gaps; the first one needs nobody, because there was no policy that says whom it would need.
CREATE TABLE policy_version (
  network_id   smallint NOT NULL REFERENCES network,
  version      integer NOT NULL CHECK (version > 0),
  proposal_id  bigint NOT NULL UNIQUE REFERENCES policy_proposal,
  enacted_at   bigint NOT NULL,
  effective_at bigint NOT NULL CHECK (effective_at >= enacted_at),
  PRIMARY KEY (network_id, version)
);

-- Which version holds. Set by whoever first finds that the next one's time has come.
CREATE TABLE policy_in_force (
  network_id smallint PRIMARY KEY REFERENCES network,
  version    integer NOT NULL,
  since      bigint NOT NULL,
  FOREIGN KEY (network_id, version) REFERENCES policy_version
);

CREATE FUNCTION check_policy_judgement() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  proposal policy_proposal;
BEGIN
  SELECT * INTO proposal FROM policy_proposal WHERE id = NEW.proposal_id FOR UPDATE;
  IF NEW.document_hash <> proposal.document_hash
    OR (NEW.decision = 'APPROVE' AND person_of(NEW.judged_by) = proposal.proposer)
    OR NEW.judged_at >= proposal.expires_at
    OR EXISTS (SELECT FROM policy_judgement j WHERE j.proposal_id = NEW.proposal_id AND j.decision = 'REFUSE')
  THEN
    RAISE EXCEPTION 'A policy is approved by somebody else than its proposer, in time, and as it is.'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'policy_judgement_is_valid', TABLE = 'policy_judgement';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER policy_judgement_is_valid BEFORE INSERT ON policy_judgement FOR EACH ROW EXECUTE FUNCTION check_policy_judgement();

-- What the versions that hold, or are about to, demand of the next one: the most of them. So nobody hurries a second change past a first one that would have forbidden it.
CREATE FUNCTION check_policy_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  proposal policy_proposal;
  newest integer;
  demanded record;
  given integer;
BEGIN
  SELECT * INTO proposal FROM policy_proposal WHERE id = NEW.proposal_id;
  SELECT coalesce(max(version), 0) INTO newest FROM policy_version WHERE network_id = NEW.network_id;
  IF proposal.network_id <> NEW.network_id OR NEW.version <> newest + 1 OR proposal.based_on <> newest OR NEW.enacted_at >= proposal.expires_at THEN
    RAISE EXCEPTION 'A version follows the one that its proposal was made for.'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'policy_version_is_next', TABLE = 'policy_version';
  END IF;
  IF newest > 0 THEN
    SELECT max((q.document::jsonb #>> '{change,approvals}')::integer) AS approvals, max((q.document::jsonb #>> '{change,delaySeconds}')::bigint) AS delay
      INTO demanded
      FROM policy_version v JOIN policy_proposal q ON q.id = v.proposal_id
      WHERE v.network_id = NEW.network_id
        AND v.version >= coalesce((SELECT version FROM policy_in_force f WHERE f.network_id = NEW.network_id), 0);
    SELECT count(*) INTO given FROM policy_judgement j
      WHERE j.proposal_id = NEW.proposal_id AND j.decision = 'APPROVE' AND j.document_hash = proposal.document_hash AND j.person <> proposal.proposer;
    IF given < greatest(demanded.approvals, 1) OR NEW.effective_at < NEW.enacted_at + demanded.delay * 1000000
      OR EXISTS (SELECT FROM policy_judgement j WHERE j.proposal_id = NEW.proposal_id AND j.decision = 'REFUSE')
    THEN
      RAISE EXCEPTION 'A policy changes with enough approvals, and after its delay.'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'policy_version_is_approved', TABLE = 'policy_version';
    END IF;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER policy_version_is_approved BEFORE INSERT ON policy_version FOR EACH ROW EXECUTE FUNCTION check_policy_version();

CREATE FUNCTION check_policy_in_force() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (TG_OP = 'UPDATE' AND (NEW.network_id <> OLD.network_id OR NEW.version <= OLD.version))
    OR NOT EXISTS (SELECT FROM policy_version v WHERE v.network_id = NEW.network_id AND v.version = NEW.version AND v.effective_at <= NEW.since)
  THEN
    RAISE EXCEPTION 'A version holds when its time has come, and until a later one does.'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'policy_in_force_is_due', TABLE = 'policy_in_force';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER policy_in_force_is_due BEFORE INSERT OR UPDATE ON policy_in_force FOR EACH ROW EXECUTE FUNCTION check_policy_in_force();
CREATE TRIGGER policy_in_force_stays BEFORE DELETE ON policy_in_force FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- ---------------------------------------------------------------------------------------------------------------- what it says of a withdrawal

ALTER TABLE withdrawal ADD COLUMN verdict smallint NOT NULL DEFAULT 0; -- the number of the one that counts; 0: it was never judged
CREATE INDEX withdrawal_awaiting_approval ON withdrawal (created_at, id) WHERE state = 'AWAITING_APPROVAL';
-- What a velocity is counted from.
CREATE INDEX withdrawal_by_receiver ON withdrawal (receiver, instrument_id, created_at);
CREATE INDEX withdrawal_by_instrument ON withdrawal (instrument_id, created_at);

CREATE TABLE policy_verdict (
  withdrawal_id    text NOT NULL REFERENCES withdrawal,
  number           smallint NOT NULL CHECK (number > 0),
  policy_version   integer NOT NULL CHECK (policy_version >= 0), -- 0: no policy was set
  kind             text NOT NULL CHECK (kind IN ('ALLOW', 'NEEDS', 'DENY')),
  approvals_needed smallint NOT NULL CHECK (approvals_needed BETWEEN 0 AND 20),
  needs_screening  boolean NOT NULL,
  approval_seconds integer NOT NULL CHECK (approval_seconds > 0), -- how long an approval counts
  reasons          jsonb NOT NULL CHECK (jsonb_typeof(reasons) = 'array'), -- [{"rule", "text"}]
  intent_hash      bytea NOT NULL,
  decided_at       bigint NOT NULL,
  expires_at       bigint,                         -- until when people may approve; null: nothing is asked of them
  PRIMARY KEY (withdrawal_id, number),
  CHECK ((kind = 'NEEDS') = (approvals_needed > 0 OR needs_screening)),
  CHECK ((approvals_needed > 0) = (expires_at IS NOT NULL))
);

-- One word per person and question. A question is asked again where approvals have run out, and the same people may answer it again.
CREATE TABLE withdrawal_approval (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  withdrawal_id text NOT NULL,
  verdict       smallint NOT NULL,
  person        text NOT NULL GENERATED ALWAYS AS (person_of(decided_by)) STORED,
  decision      text NOT NULL CHECK (decision IN ('APPROVE', 'REFUSE')),
  intent_hash   bytea NOT NULL,                    -- of what was looked at
  decided_by    text NOT NULL,
  decided_at    bigint NOT NULL,
  expires_at    bigint NOT NULL CHECK (expires_at > decided_at),
  why           text NOT NULL,
  UNIQUE (withdrawal_id, verdict, person),
  FOREIGN KEY (withdrawal_id, verdict) REFERENCES policy_verdict
);

-- What the screening service was asked about a withdrawal, and what it said.
CREATE TABLE withdrawal_screening (
  withdrawal_id text PRIMARY KEY REFERENCES withdrawal,
  intent_hash   bytea NOT NULL,
  state         text NOT NULL CHECK (state IN ('WAITING', 'PARKED', 'ALLOWED', 'DENIED', 'ENDED')),
  tries         integer NOT NULL DEFAULT 0,        -- without an answer, in a row
  next_try_at   bigint,
  last_error    text,
  case_id       text,                              -- the service's own
  reason        text,
  opened_at     bigint NOT NULL,
  decided_at    bigint,
  decided_by    text,
  CHECK ((state IN ('ALLOWED', 'DENIED', 'ENDED')) = (decided_at IS NOT NULL)),
  CHECK ((state = 'WAITING') = (next_try_at IS NOT NULL))
);
CREATE INDEX withdrawal_screening_due ON withdrawal_screening (next_try_at) WHERE state = 'WAITING';

CREATE TRIGGER policy_proposal_stays BEFORE UPDATE OR DELETE ON policy_proposal FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER policy_judgement_stays BEFORE UPDATE OR DELETE ON policy_judgement FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER policy_version_stays BEFORE UPDATE OR DELETE ON policy_version FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER policy_verdict_stays BEFORE UPDATE OR DELETE ON policy_verdict FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER withdrawal_approval_stays BEFORE UPDATE OR DELETE ON withdrawal_approval FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- ---------------------------------------------------------------------------------------------------------------- the intent

-- Every part with its length before it, so that no two lists of parts look alike.
CREATE FUNCTION netstring(part text) RETURNS text LANGUAGE sql IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE
  RETURN CASE WHEN part IS NULL THEN '-' ELSE octet_length(part) || ':' || part END;

-- What is approved: everything that says who is paid what, by whom and for whom. Version 1 of the text (src/policy/intent.ts makes the same).
CREATE FUNCTION withdrawal_intent_hash(wanted text) RETURNS bytea LANGUAGE sql STABLE STRICT
  RETURN (
    SELECT sha256(convert_to('sluice.withdrawal-intent.1:' || netstring(w.id) || netstring(n.name) || netstring(p.party) || netstring(a.kind)
      || netstring(a.owner) || netstring(i.admin) || netstring(i.instrument_id) || netstring(w.receiver) || netstring(round(w.amount, 10)::text)
      || netstring(w.memo) || netstring(w.deadline::text), 'UTF8'))
    FROM withdrawal w JOIN network n ON n.id = w.network_id JOIN treasury_party p ON p.id = w.treasury_id
    JOIN account a ON a.id = w.account_id JOIN instrument i ON i.id = w.instrument_id
    WHERE w.id = wanted
  );

-- Whose wish it is: of whoever asked for it, and of a refund also of who wanted that at the desk.
CREATE FUNCTION withdrawal_requesters(wanted text) RETURNS text[] LANGUAGE sql STABLE STRICT
  RETURN ARRAY(
    SELECT person_of(client) FROM withdrawal WHERE id = wanted
    UNION SELECT person_of(requested_by) FROM desk_decision WHERE withdrawal_id = wanted
  );

-- Whether the policy lets a withdrawal be paid: GIVEN, or what is missing. Approvals count while they last, bound to the intent as it is, one per person, never of who asked.
-- at: wall clock; null: as of the verdict, for those who ask without a clock. UNJUDGED: the policy has changed since it was judged.
CREATE FUNCTION policy_leave(wanted text, verdict integer, network integer, at bigint) RETURNS text LANGUAGE sql STABLE
  RETURN coalesce(
    (
      SELECT CASE
        WHEN v.policy_version <> coalesce((SELECT f.version FROM policy_in_force f WHERE f.network_id = network), 0) THEN 'UNJUDGED'
        WHEN v.kind = 'DENY' THEN 'DENIED'
        WHEN v.approvals_needed > 0 AND (
          EXISTS (SELECT FROM withdrawal_approval no WHERE no.withdrawal_id = wanted AND no.decision = 'REFUSE')
          OR v.approvals_needed > (
            SELECT count(DISTINCT yes.person) FROM withdrawal_approval yes
            WHERE yes.withdrawal_id = wanted AND yes.decision = 'APPROVE' AND yes.intent_hash = withdrawal_intent_hash(wanted)
              AND yes.expires_at > coalesce(at, v.decided_at) AND yes.person <> ALL (withdrawal_requesters(wanted))
          )
        ) THEN 'APPROVALS'
        WHEN v.needs_screening AND NOT EXISTS (
          SELECT FROM withdrawal_screening s
          WHERE s.withdrawal_id = wanted AND s.state = 'ALLOWED' AND s.intent_hash = withdrawal_intent_hash(wanted)
        ) THEN 'SCREENING'
        ELSE 'GIVEN'
      END
      FROM policy_verdict v WHERE v.withdrawal_id = wanted AND v.number = verdict
    ),
    CASE WHEN EXISTS (SELECT FROM policy_in_force f WHERE f.network_id = network) THEN 'UNJUDGED' ELSE 'GIVEN' END
  );

CREATE FUNCTION check_withdrawal_approval() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  asked policy_verdict;
  current smallint;
BEGIN
  SELECT verdict INTO current FROM withdrawal WHERE id = NEW.withdrawal_id AND state IN ('AWAITING_APPROVAL', 'QUEUED') FOR UPDATE;
  SELECT * INTO asked FROM policy_verdict WHERE withdrawal_id = NEW.withdrawal_id AND number = NEW.verdict;
  IF current IS DISTINCT FROM NEW.verdict OR asked.approvals_needed = 0
    OR NEW.decided_at < asked.decided_at OR NEW.decided_at >= asked.expires_at
    OR NEW.expires_at > NEW.decided_at + asked.approval_seconds * 1000000::bigint
    OR NEW.intent_hash <> withdrawal_intent_hash(NEW.withdrawal_id)
    OR (NEW.decision = 'APPROVE' AND person_of(NEW.decided_by) = ANY (withdrawal_requesters(NEW.withdrawal_id)))
  THEN
    RAISE EXCEPTION 'A withdrawal is approved by somebody else than who asked for it, in time, and as it is.'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'withdrawal_approval_is_valid', TABLE = 'withdrawal_approval';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER withdrawal_approval_is_valid BEFORE INSERT ON withdrawal_approval FOR EACH ROW EXECUTE FUNCTION check_withdrawal_approval();

-- What was judged stays as it was judged.
CREATE FUNCTION refuse_other_intent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'A withdrawal that was judged is not made another one.'
    USING ERRCODE = 'check_violation', CONSTRAINT = 'withdrawal_stays_as_judged', TABLE = 'withdrawal';
END $$;
CREATE TRIGGER withdrawal_stays_as_judged BEFORE UPDATE ON withdrawal FOR EACH ROW
  WHEN (NEW.verdict < OLD.verdict OR (OLD.verdict > 0
    AND (OLD.id, OLD.network_id, OLD.client, OLD.idempotency_key, OLD.account_id, OLD.treasury_id, OLD.instrument_id, OLD.receiver, OLD.amount, OLD.memo, OLD.deadline, OLD.created_at)
      IS DISTINCT FROM (NEW.id, NEW.network_id, NEW.client, NEW.idempotency_key, NEW.account_id, NEW.treasury_id, NEW.instrument_id, NEW.receiver, NEW.amount, NEW.memo, NEW.deadline, NEW.created_at)))
  EXECUTE FUNCTION refuse_other_intent();

-- The wall that no code goes around: nothing leaves its judges, and nothing gets an attempt, without leave.
CREATE FUNCTION demand_policy_leave() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  leave text := policy_leave(NEW.id, NEW.verdict, NEW.network_id, NEW.changed_at);
BEGIN
  IF leave <> 'GIVEN' THEN
    RAISE EXCEPTION 'The withdrawal % has not the leave of the policy: %.', NEW.id, leave
      USING ERRCODE = 'check_violation', CONSTRAINT = 'withdrawal_has_leave', TABLE = 'withdrawal';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER withdrawal_has_leave BEFORE UPDATE ON withdrawal FOR EACH ROW
  WHEN ((NEW.state = 'QUEUED' AND OLD.state IN ('REQUESTED', 'AWAITING_APPROVAL')) OR (NEW.state = 'IN_FLIGHT' AND OLD.state <> 'IN_FLIGHT'))
  EXECUTE FUNCTION demand_policy_leave();

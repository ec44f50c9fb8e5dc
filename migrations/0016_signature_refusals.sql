-- A signer that refuses by its own policy has made no signature. How often one was asked for an attempt, and how often that was the answer: while both are the same, none can exist.
-- Unknown (null) for attempts that were asked for before this was counted.
ALTER TABLE attempt
  ADD COLUMN sign_requests integer CHECK (sign_requests > 0),
  ADD COLUMN sign_refusals integer NOT NULL DEFAULT 0 CHECK (sign_refusals >= 0),
  ADD CONSTRAINT attempt_refusals_check CHECK (sign_refusals = 0 OR sign_refusals <= coalesce(sign_requests, 0)),
  DROP CONSTRAINT attempt_check3,
  ADD CONSTRAINT attempt_given_up_check CHECK (
    state <> 'GIVEN_UP' OR sign_requested_at IS NULL OR coalesce(sign_refusals = sign_requests, false)
  );

-- Wherever two people have to agree, two keys of one person do not: by one rule, `person_of`. What was decided before names came with a key's name behind a slash is not looked at again.
ALTER TABLE halt
  DROP CONSTRAINT halt_lifted_by_two,
  ADD CONSTRAINT halt_lifted_by_two CHECK (lifted_by IS NULL OR (lift_asked_by IS NOT NULL AND person_of(lifted_by) <> person_of(lift_asked_by))) NOT VALID;
ALTER TABLE withdrawal_resolution
  DROP CONSTRAINT withdrawal_resolution_by_two,
  ADD CONSTRAINT withdrawal_resolution_by_two CHECK (state <> 'DONE' OR person_of(decided_by) <> person_of(requested_by)) NOT VALID;
ALTER TABLE desk_decision
  DROP CONSTRAINT desk_decision_check2,
  ADD CONSTRAINT desk_decision_by_two CHECK (NOT (needs_approval AND state = 'DONE' AND person_of(decided_by) = person_of(requested_by))) NOT VALID;

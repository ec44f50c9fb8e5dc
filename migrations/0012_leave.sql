-- Nobody is credited against what a screening service was asked and said: a deposit that was asked about belongs to whom it was allowed for, or to whom two people gave it.
CREATE FUNCTION demand_leave() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT FROM fresh JOIN screening s ON s.transfer_id = fresh.transfer_id
    WHERE s.state IN ('WAITING', 'PARKED')
      OR (s.state = 'ALLOWED' AND s.account_id <> fresh.account_id)
      OR (s.state = 'DENIED' AND NOT EXISTS (
        SELECT FROM desk_decision d
        WHERE d.transfer_id = fresh.transfer_id AND d.kind = 'ASSIGN' AND d.state = 'DONE' AND d.needs_approval AND d.account_id = fresh.account_id
      ))
  ) THEN
    RAISE EXCEPTION 'A deposit is credited without the leave of the screening service.'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'attribution_has_leave', TABLE = 'attribution';
  END IF;
  RETURN NULL;
END $$;

-- Once per statement, however many rows: ingestion writes whole batches.
CREATE TRIGGER attribution_has_leave AFTER INSERT ON attribution
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION demand_leave();

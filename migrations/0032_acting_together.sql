-- Withdrawals that are accepted in one transaction were asked for by several: whoever writes them may tell who acts of each row, under `of` and its subject. Otherwise as in 0025.
CREATE OR REPLACE FUNCTION audit_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  acting jsonb := nullif(current_setting('sluice.acting', true), '')::jsonb;
  omitted text[] := string_to_array(coalesce(TG_ARGV[2], ''), ',');
  old_row jsonb;
  new_row jsonb;
  was jsonb;
  became jsonb;
  who text;
  named text;
BEGIN
  -- As text: a JSON number would lose digits in its reader.
  IF TG_OP <> 'INSERT' THEN
    SELECT jsonb_object_agg(key, value) INTO old_row FROM jsonb_each_text(to_jsonb(OLD)) WHERE key <> ALL (omitted);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    SELECT jsonb_object_agg(key, value) INTO new_row FROM jsonb_each_text(to_jsonb(NEW)) WHERE key <> ALL (omitted);
  END IF;
  IF TG_OP = 'UPDATE' THEN
    SELECT jsonb_object_agg(key, old_row -> key), jsonb_object_agg(key, value) INTO was, became
      FROM jsonb_each(new_row) WHERE value IS DISTINCT FROM old_row -> key;
    IF became IS NULL THEN RETURN NULL; END IF;
  ELSE
    was := old_row;
    became := new_row;
  END IF;
  IF acting ? 'of' THEN acting := acting -> 'of' -> (coalesce(new_row, old_row) ->> TG_ARGV[0]); END IF;
  who := acting ->> 'principal';
  FOREACH named IN ARRAY string_to_array(TG_ARGV[1], ',') LOOP
    EXIT WHEN who IS NOT NULL;
    who := became ->> named;
  END LOOP;
  INSERT INTO audit_outbox (at, principal, action, input_hash, subject_type, subject, before, after)
    VALUES ((extract(epoch FROM clock_timestamp()) * 1000000)::bigint, coalesce(who, 'sluice'),
      coalesce(acting ->> 'action', TG_TABLE_NAME || '.' || lower(TG_OP)), decode(acting ->> 'inputHash', 'hex'),
      TG_TABLE_NAME, coalesce(new_row, old_row) ->> TG_ARGV[0], was, became);
  RETURN NULL;
END $$;

DO $$
BEGIN
  EXECUTE format('ALTER FUNCTION audit_change() SET search_path = %I, pg_temp', current_schema());
END $$;

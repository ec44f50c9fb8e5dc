-- Keys of machines and people, made and revoked while the service runs. The key itself is nowhere: it has 256 random bits, so its plain SHA-256 can be looked for and not be guessed.
CREATE TABLE api_key (
  id             text PRIMARY KEY CHECK (id ~ '^key_[0-9A-Za-z_-]{8,40}$'),
  -- Who asks, whichever key he asks with: idempotency keys are the client's, so a new key keeps them.
  client         text NOT NULL CHECK (client ~ '^[A-Za-z0-9._-]{1,64}(/[A-Za-z0-9._-]{1,64})?$'),
  sha256         bytea NOT NULL UNIQUE CHECK (octet_length(sha256) = 32),
  scopes         text[] NOT NULL CHECK (cardinality(scopes) BETWEEN 1 AND 16 AND NOT scopes @> ARRAY['withdrawals', 'approve']),
  -- A customer's: the one account that it reaches. Both or none.
  network        text,
  account_owner  text CHECK (octet_length(account_owner) BETWEEN 1 AND 256),
  created_at     bigint NOT NULL,                    -- microseconds of the wall clock, as the others
  created_by     text NOT NULL,
  expires_at     bigint CHECK (expires_at > created_at),
  revoked_at     bigint,
  revoked_by     text,
  revoked_why    text,
  last_used_at   bigint,                             -- as of a minute ago at most
  CHECK ((network IS NULL) = (account_owner IS NULL)),
  CHECK ((account_owner IS NOT NULL) = ('own' = ANY (scopes))),
  CHECK ((revoked_at IS NULL) = (revoked_by IS NULL) AND (revoked_at IS NULL) = (revoked_why IS NULL))
);
CREATE INDEX api_key_by_client ON api_key (client, created_at);

-- Another text whenever a key was made or revoked: what each replica asks for twice a second, and reads the keys again when it changed.
CREATE TABLE api_key_version (
  is_only  boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  version  text NOT NULL
);
INSERT INTO api_key_version (version) VALUES (gen_random_uuid()::text);

CREATE FUNCTION api_key_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- Its row lock puts the changes in an order: whoever reads a version sees every change up to it.
  UPDATE api_key_version SET version = gen_random_uuid()::text;
  PERFORM pg_notify('sluice_api_key', '');
  RETURN NULL;
END $$;
CREATE TRIGGER api_key_changed AFTER INSERT OR UPDATE OF revoked_at ON api_key
  FOR EACH STATEMENT EXECUTE FUNCTION api_key_changed();

-- What a key may do and whose it is never changes, and a revoked one stays revoked: there is no way to give a stolen key more, nor to wake a dead one.
CREATE FUNCTION api_key_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'Keys are revoked, never removed.' USING ERRCODE = 'restrict_violation';
  END IF;
  IF (NEW.id, NEW.client, NEW.sha256, NEW.scopes, NEW.network, NEW.account_owner, NEW.created_at, NEW.created_by, NEW.expires_at)
    IS DISTINCT FROM (OLD.id, OLD.client, OLD.sha256, OLD.scopes, OLD.network, OLD.account_owner, OLD.created_at, OLD.created_by, OLD.expires_at)
    OR (OLD.revoked_at IS NOT NULL
      AND (NEW.revoked_at, NEW.revoked_by, NEW.revoked_why) IS DISTINCT FROM (OLD.revoked_at, OLD.revoked_by, OLD.revoked_why)) THEN
    RAISE EXCEPTION 'A key can be revoked, once, and nothing else.' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER api_key_stands BEFORE UPDATE OR DELETE ON api_key
  FOR EACH ROW EXECUTE FUNCTION api_key_stands();

-- Customers' books: who keeps the balances of customers, the exchange (EXTERNAL) or Sluice (INTERNAL).

-- One row per network; none: EXTERNAL, undecided. The row decides, whatever a process was configured with: a switch holds at once and everywhere.
CREATE TABLE customer_books (
  network_id     smallint PRIMARY KEY REFERENCES network,
  mode           text NOT NULL CHECK (mode IN ('EXTERNAL', 'OPENING', 'INTERNAL')),
  changed_at     bigint NOT NULL,
  changed_by     text NOT NULL,
  posts_whole_at bigint                            -- wall clock; somebody said then that every post transfer a restored database had lost was sent again
);
CREATE TRIGGER audited AFTER INSERT OR UPDATE ON customer_books FOR EACH ROW EXECUTE FUNCTION audit_change('network_id', 'changed_by');

-- Where Sluice keeps the balances: what each customer has, moved by the statement that writes the postings. No customer has less than nothing, whoever writes.
CREATE TABLE customer_balance (
  account_id    bigint NOT NULL REFERENCES account,
  instrument_id integer NOT NULL REFERENCES instrument,
  balance       numeric NOT NULL CONSTRAINT customer_balance_covers CHECK (balance >= 0 AND balance < 'Infinity'),
  PRIMARY KEY (account_id, instrument_id)
) WITH (fillfactor = 70);                          -- Room on the page: the one column that changes is in no index.

-- Locks balances in one order, so that transactions which touch many of them wait for each other and never in a circle. A balance that is not there yet is made, or there would be nothing to lock.
CREATE FUNCTION lock_customer_balances(accounts bigint[], instruments integer[])
RETURNS TABLE (account_id bigint, instrument_id integer, balance numeric) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  INSERT INTO customer_balance (account_id, instrument_id, balance)
    SELECT DISTINCT a, i, 0 FROM unnest(accounts, instruments) AS wanted (a, i) ORDER BY 1, 2
    ON CONFLICT DO NOTHING;
  RETURN QUERY
    SELECT kept.account_id, kept.instrument_id, kept.balance FROM customer_balance AS kept
    WHERE (kept.account_id, kept.instrument_id) IN (SELECT * FROM unnest(accounts, instruments))
    ORDER BY 1, 2 FOR NO KEY UPDATE OF kept;
END $$;

CREATE FUNCTION keep_customer_balances() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  accounts bigint[];
  instruments integer[];
  amounts numeric[];
BEGIN
  IF NOT EXISTS (SELECT FROM customer_books WHERE mode = 'INTERNAL') THEN RETURN NULL; END IF;
  SELECT array_agg(moved.account_id), array_agg(moved.instrument_id), array_agg(moved.amount) INTO accounts, instruments, amounts
  FROM (
    SELECT line.account_id, line.instrument_id, sum(line.amount) AS amount
    FROM (
      SELECT credit_account_id AS account_id, instrument_id, amount::numeric AS amount FROM fresh
      UNION ALL
      SELECT debit_account_id, instrument_id, -(amount::numeric) FROM fresh
    ) AS line
    JOIN account a ON a.id = line.account_id AND a.kind = 'CUSTOMER'
    JOIN customer_books b ON b.network_id = a.network_id AND b.mode = 'INTERNAL'
    GROUP BY 1, 2 HAVING sum(line.amount) <> 0
  ) AS moved;
  IF accounts IS NULL THEN RETURN NULL; END IF;
  PERFORM lock_customer_balances(accounts, instruments);
  UPDATE customer_balance AS kept SET balance = kept.balance + moved.amount
    FROM unnest(accounts, instruments, amounts) AS moved (account_id, instrument_id, amount)
    WHERE kept.account_id = moved.account_id AND kept.instrument_id = moved.instrument_id;
  RETURN NULL;
END $$;
CREATE TRIGGER customer_balances_are_kept AFTER INSERT ON posting
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION keep_customer_balances();

-- What a service moved between accounts: a trade, a fee, an opening balance. Its lines are the postings of the entry `post:<id>`. Owned, and never changed.
CREATE TABLE post_transfer (
  id              text PRIMARY KEY,                -- a function of (network, client, idempotency key)
  network_id      smallint NOT NULL REFERENCES network,
  client          text NOT NULL,
  idempotency_key text NOT NULL CHECK (octet_length(idempotency_key) BETWEEN 1 AND 255),
  request_hash    bytea NOT NULL,                  -- of the whole input: the same key with another input is refused
  reference       text CHECK (octet_length(reference) BETWEEN 1 AND 255),
  posted_at       bigint NOT NULL,
  UNIQUE (network_id, client, idempotency_key)
);
CREATE INDEX post_transfer_by_time ON post_transfer (posted_at, id);
CREATE TRIGGER post_transfer_stays BEFORE UPDATE OR DELETE ON post_transfer FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- SHORTFALL: what the house laid out where a payment was read that its customer's balance does not cover.
ALTER TABLE account DROP CONSTRAINT account_kind_check;
ALTER TABLE account ADD CONSTRAINT account_kind_check CHECK (kind IN ('CUSTOMER', 'TREASURY', 'UNATTRIBUTED', 'UNEXPLAINED', 'FEES', 'HOUSE',
  'IN_TRANSIT', 'BETWEEN_TREASURIES', 'OPENING', 'WITHDRAWALS', 'HELD', 'REFUNDS', 'SHORTFALL'));

-- The same two sums as before, and the journal of an account in its order.
CREATE INDEX posting_debit_journal ON posting (debit_account_id, instrument_id, entry_id) INCLUDE (amount);
CREATE INDEX posting_credit_journal ON posting (credit_account_id, instrument_id, entry_id) INCLUDE (amount);
DROP INDEX posting_debit;
DROP INDEX posting_credit;

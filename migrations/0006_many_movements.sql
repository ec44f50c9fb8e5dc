-- A transaction may hold more movements of one party than a smallint counts, and a stranger's junk beside a deposit must not keep the deposit from being stored. Rewrites the table once.
ALTER TABLE transfer ALTER COLUMN rank TYPE integer;

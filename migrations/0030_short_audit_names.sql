-- What takes tables from everybody, apart from what takes long (0028): none of it waits for anything once it has them. In the order in which whoever chains the audit takes them, or he and we would wait for each other.

-- What is longer than a name is refused with what it wanted to do; entries that wait already are chained.
ALTER TABLE audit_outbox ADD CONSTRAINT audit_names_are_short
  CHECK (octet_length(principal) <= 1024 AND octet_length(action) <= 1024 AND octet_length(subject) <= 2048) NOT VALID;
DROP INDEX audit_entry_by_principal, audit_entry_by_subject, audit_entry_by_action;

-- With the rights of whoever asks.
ALTER VIEW account_balance SET (security_invoker = true);

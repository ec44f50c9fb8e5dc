-- The request that a withdrawal came with, so that one id leads from the caller's log line to the ledger's update.

-- Without a default and checked for new rows only: neither the table nor its readers wait.
ALTER TABLE withdrawal ADD COLUMN request_id text;
ALTER TABLE withdrawal ADD CONSTRAINT withdrawal_request_id_check CHECK (char_length(request_id) BETWEEN 1 AND 64) NOT VALID;

-- Which outgoing transfer carries the id of a withdrawal: after a restore the ledger may show a payment whose withdrawal the database has lost. Cut off, because an index takes no text of any length.
CREATE INDEX transfer_of_withdrawal ON transfer (left(transfer_object #>> '{meta,values,sluice.dev/withdrawal-id}', 100)) WHERE direction = 'OUT';

"""The processes: one supervisor, its workers, the operator's port, and Hypercorn behind guards."""

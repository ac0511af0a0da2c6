"""What an operation costs as numbers grow: keys, tenants, items of a batch, workers; and what a fleet needs by that."""

"""The audit log: records, the tree over them, checkpoints, proofs."""

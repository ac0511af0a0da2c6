"""Ways in over a network; each is a thin translation of the operations table in :mod:`ron_kms.service`."""

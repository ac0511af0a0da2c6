"""The root of all sealing: where the root key rests (seals), and what is derived from the store key that it wraps."""

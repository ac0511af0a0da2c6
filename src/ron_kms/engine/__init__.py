"""Where cryptography runs: at once on the loop, or on crypto threads."""

// Empty on purpose: cargo wants a target, and all that is wanted of cargo is oqs-sys.

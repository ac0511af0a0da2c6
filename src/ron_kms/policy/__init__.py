"""What a tenant allows on its way to post-quantum cryptography."""

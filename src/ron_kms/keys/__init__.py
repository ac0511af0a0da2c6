"""What is known of keys: the directory that caches them."""

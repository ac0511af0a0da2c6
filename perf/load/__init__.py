"""Load from outside: a running service over HTTP/2, and what its clients see."""

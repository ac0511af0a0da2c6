"""The steps. They never import the schema of today: each says for itself what it makes."""

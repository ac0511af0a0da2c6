"""Coverage-guided fuzzing of what decodes bytes from outside: ``python -m tests.fuzz TARGET`` runs until stopped."""

"""What happens once: a command, an import with a first signature, a start, a first call."""

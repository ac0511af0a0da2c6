"""The command ``ron-kms``."""

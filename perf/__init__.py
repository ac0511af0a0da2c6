"""Measurements of ron-kms. Nothing here is installed with it."""

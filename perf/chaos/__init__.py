"""Drills: a running service under load is harmed, and must do what was said of it before."""

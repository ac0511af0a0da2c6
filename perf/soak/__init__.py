"""A long run of mixed operations on one service: does anything grow, and is every one of them in the audit log?"""

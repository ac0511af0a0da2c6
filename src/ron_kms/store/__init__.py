"""What is kept: tables whose every row is authenticated, threads and transactions, and the first start.

SQLAlchemy is imported by the modules of this package only.
"""

"""What the bytes of the native core mean: suites, formats, keys that sign and verify.

Importing this package runs the known-answer tests of every suite; a failure makes the import raise.
"""

from ron_kms.crypto import selftest

selftest.run()

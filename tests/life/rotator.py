"""A process that rotates a key again and again, as one of several that race: rotator.py <url> <seal> <key> <times>."""

from __future__ import annotations

import sys

import ron_kms

url, seal, key, times = sys.argv[1:]
with ron_kms.open(url, seal=seal) as kms:
    for _ in range(int(times)):
        try:
            print(kms.rotate(key).kid)
        except ron_kms.Conflict as error:
            print(error.code)

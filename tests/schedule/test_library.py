"""The library does what is due when it is asked to."""

from __future__ import annotations

import ron_kms
from ron_kms.model import Kid
from tests.schedule.parts import make_due, numbers
from tests.store.sample import Place


def test_the_library_does_what_is_due(place: Place) -> None:
    with ron_kms.open(place.url, seal=place.seal) as kms:
        kid = Kid.parse(kms.create(tenant="acme", purpose="audit", suite="ed25519"))
        assert kms.run_due() is False
        store = place.open()
        try:
            make_due(store, kid)
            assert kms.run_due() is False
            assert numbers(store, kid) == [1, 2]
        finally:
            store.close()
        assert kms.get(kid.key).newest == 2

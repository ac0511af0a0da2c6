"""The store is taken away from a running service, and comes back."""

from __future__ import annotations

import re
import time
from pathlib import Path

from tests.e2e.service import Service
from tests.e2e.wire import Client, digest_of
from tests.waiting import until

DIGEST = digest_of("a document")
TTL_MS = 2500


def metric(operator: Client, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", operator.call("GET", "/metrics", token=None).content.decode(), re.MULTILINE)
    assert found is not None, name
    return float(found[1])


def test_verify_goes_on_without_the_store_for_as_long_as_configured(data_dir: Path) -> None:
    with (
        Service(data_dir, freshness_ms=1000, verify_cache_ttl_ms=TTL_MS) as service,
        service.client() as client,
        Client(service.operator_url) as operator,
    ):
        store, elsewhere = data_dir / "ron-kms.db", data_dir / "elsewhere.db"
        kid = client.create()
        signed = client.post("sign", kid=kid, digest=DIGEST).good()
        etag = client.get(f"keys/{kid.partition('#')[0]}").headers["etag"]

        def verify() -> int | None:
            """The key's age, None where it was read; where verify is refused, minus one."""
            answer = client.post("verify", digest=DIGEST, **signed)
            if answer.status != 200:
                assert answer.code == "StoreUnavailable"
                assert answer.headers["retry-after"] == "1"
                assert "not where it was opened" in answer.data["error"]["message"]
                return -1
            assert answer.data["ok"] is True
            age: int | None = answer.data.get("cache_age_ms")
            assert answer.headers.get("x-kms-cache-age") == (None if age is None else str(age))
            return age

        assert until(lambda: (verify() or 0) > TTL_MS)  # used after its TTL, it is read anew
        assert until(lambda: (verify() or TTL_MS) < TTL_MS)

        store.rename(elsewhere)
        assert until(lambda: client.post("sign", kid=kid, digest=DIGEST).status == 503)
        ages = []
        while (age := verify()) != -1:
            assert age is not None
            ages.append(age)
            time.sleep(0.05)
        assert ages == sorted(ages)
        assert TTL_MS < ages[-1] <= 2 * TTL_MS + 500  # told a moment after it was taken from the cache
        assert client.post("sign", kid=kid, digest=DIGEST).code == "StoreUnavailable"
        assert client.get(f"keys/{kid.partition('#')[0]}").code == "StoreUnavailable"
        assert until(lambda: metric(operator, "verify_cache_stale_max_ms") > 2 * TTL_MS)
        assert metric(operator, "cache_age_ms") > 2 * TTL_MS
        assert metric(operator, "verify_cache_stale_total") == 1
        assert metric(operator, "verify_cache_refresh_failed_total") >= 1
        assert "store_ready" in operator.call("GET", "/readyz", token=None).data["missing"]

        elsewhere.rename(store)
        assert until(lambda: client.post("sign", kid=kid, digest=DIGEST).status == 200)
        assert until(lambda: verify() != -1)
        assert until(lambda: operator.call("GET", "/readyz", token=None).data["degraded"] == [])
        assert until(lambda: metric(operator, "cache_age_ms") == 0)
        path = f"/v1/kms/keys/{kid.partition('#')[0]}"
        assert client.call("GET", path, headers={"if-none-match": etag}).status == 304
        assert client.call("HEAD", path, headers={"if-none-match": f'"0", W/{etag}'}).status == 304
    log = service.log.read_text()
    assert "cached keys cannot be refreshed: the store's file is not where it was opened" in log
    assert "cached keys are refreshed again" in log

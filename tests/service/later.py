"""What verbs that are still to come will do to a key: rows changed by ron-kms itself, authentic."""

from __future__ import annotations

from typing import Any

import msgspec

from ron_kms.crypto.suites import SUITES
from ron_kms.model import Kid
from ron_kms.service.local import LocalKms
from ron_kms.store.schema import KEY_VERSIONS, KEYS


def set_state(kms: LocalKms, kid: str, state: str) -> None:
    """Of the first version."""
    rows = kms._kms.rows

    def change(connection: Any) -> None:
        current = rows.find(connection, KEY_VERSIONS, Kid.parse(kid).uuid, 1)
        assert current is not None
        rows.update(connection, KEY_VERSIONS, current, {"state": state})

    kms._kms.database.write(change).result()


def update_key(kms: LocalKms, kid: str, **values: Any) -> None:
    """Any column of the key's row."""
    rows = kms._kms.rows

    def change(connection: Any) -> None:
        current = rows.find(connection, KEYS, Kid.parse(kid).uuid)
        assert current is not None
        rows.update(connection, KEYS, current, values)

    kms._kms.database.write(change).result()


def add_version(kms: LocalKms, kid: str) -> None:
    """A second version, which is the newest from then on."""
    name = Kid.parse(kid)
    version = kms._kms.custodian.create(name.at(2), SUITES["ed25519"])
    values = {
        "uuid": name.uuid,
        "number": 2,
        "suite": version.suite,
        "state": version.state,
        "public": msgspec.msgpack.encode(version.public),
        "blob": version.blob,
        "created": version.created,
    }
    kms._kms.database.write(lambda connection: kms._kms.rows.insert(connection, KEY_VERSIONS, values)).result()
    update_key(kms, kid, newest=2)

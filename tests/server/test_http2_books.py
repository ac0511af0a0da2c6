"""What is counted for an HTTP/2 connection, its windows, its memory and its frames, stays right however streams end."""

from __future__ import annotations

import h2.settings
import pytest

from tests.server.edge import Client, serving

BODY = bytes(8000)
"""Eight of them fill a connection's window."""


@pytest.mark.parametrize("size", [0, 100])
def test_a_peer_that_wants_a_smaller_header_table_is_told_that_it_is(size: int) -> None:
    with serving() as edge, Client(edge.port) as client:
        client.h2.update_settings({h2.settings.SettingCodes.HEADER_TABLE_SIZE: size})
        client.flush()
        assert client.alive()
        assert client.h2.decoder.header_table_size == size

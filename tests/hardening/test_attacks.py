"""The whole service attacked over real connections, with a client beside who behaves and must not notice.

What is known of Hypercorn 0.18, and where each is attacked:

| fault | test |
|---|---|
| ``keep_alive_max_requests`` counts streams and loses answers | ``test_http2_guards.py``: ``test_every_one_of_20000_requests_is_answered``; ``test_http11_guards.py``: ``test_more_requests_than_hypercorn_keeps_a_connection_for`` |
| more streams than allowed close the connection | ``test_http2_guards.py``: ``test_streams_in_excess_are_refused_one_by_one``, ``test_a_clients_first_flight_before_it_knows_the_limit``; here ``streams`` |
| DATA after an early answer kills the connection | ``test_http2_guards.py``: ``test_data_after_an_early_answer_is_taken_and_forgotten``; ``test_http11_guards.py``: ``test_a_client_answered_early_may_finish_its_body_and_go_on`` |
| ``read_timeout`` kills requests in flight | ``test_http2_guards.py``: ``test_requests_in_flight_have_no_read_timeout`` |
| slow bodies are left to the application | ``test_http2_guards.py``: ``test_a_slow_body_is_reset_and_the_connection_lives``; here ``slow_bodies``, ``slow_bodies_h2``, ``slow_heads`` |
| so are slow readers | ``test_http2_guards.py``: ``test_a_reader_that_opens_no_window_is_reset_and_the_connection_lives``, ``test_who_does_not_read_is_not_answered_for_ever``; here ``slow_readers``, ``readers_of_nothing``, ``readers_of_nothing_http11`` |
| no client certificate reaches the application | ``test_tls.py``: TLS itself refuses who has none; the application decides by tokens |
| answers over HTTP/1.1 have no reason phrase | ``test_http11_guards.py``: ``test_answers_have_reason_phrases`` |
| the path is ``scope["path"]`` | ``tests/api/test_paths.py`` |
"""  # noqa: E501 - a table

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from ron_kms.capabilities.tokens import attenuate
from tests.counts import LONG, SERVER, count
from tests.hardening import content, floods, slow
from tests.hardening.beside import unharmed
from tests.hardening.target import Target
from tests.server.service import Service, create, serving

ATTACKS: tuple[Callable[[Target], None], ...] = (
    *(slow.slow_heads, slow.slow_preface, slow.slow_bodies, slow.slow_bodies_h2, slow.half_closed),
    *(slow.slow_readers, slow.readers_of_nothing, slow.readers_of_nothing_http11),
    *(floods.resets, floods.resets_by_us, floods.streams, floods.continuations, floods.control, floods.empty_data),
    *(floods.tables, floods.crowds),
    *(content.large_bodies, content.endless_bodies, content.bodies_in_flight, content.bombs, content.deep_and_huge),
    *(content.wrong_types, content.heads, content.tokens, content.names),
)
SERVERS = ("hypercorn", "granian") if LONG else (SERVER,)
LIMITS = {"idle_seconds": "2", "request_seconds": "1", "response_seconds": "1", "max_connections": "120"}
MEGABYTES = count(64, 192)
"""By which the worker may grow: half of the budget for bodies for one tenant, what thousands of waiting requests take,
and what allocators keep."""
UNBOUNDED = {("granian", slow.slow_readers), ("granian", slow.readers_of_nothing)}
"""What docs/operating.md says is not bounded in memory."""


@pytest.fixture(scope="module", params=SERVERS)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp(request.param) / "data"
    with serving(folder, workers="1", server=request.param, body_memory=str(32 << 20), **LIMITS) as service:
        yield service


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_nobody_else_notices(service: Service, attack: Callable[[Target], None]) -> None:
    port = httpx.URL(service.endpoints["http"]).port or 0
    with service.client() as client:
        kid = create(client, tenant="attacker", suite="ed25519")
    token = attenuate(service.token, ["tenant = attacker"])
    bounded = (service.readyz().json()["snapshot"]["server"], attack) not in UNBOUNDED
    with unharmed(service, megabytes=MEGABYTES if bounded else None) as seen:
        attack(Target(port, token, kid, seen, patience=2.0))

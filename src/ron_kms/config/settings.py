"""The table of settings: each field of :class:`Settings` is one, with its name, type, default and text.

Flags, environment, file, help and the reference page are all made from it. Within a section of the page the order is
that of the fields; those before the first here are in ``where.py``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec

from ron_kms.config.kinds import BOOL, COLLECTOR, PATH, SWITCH, one_of, percent, seconds, text, whole
from ron_kms.config.knob import Knob, Section
from ron_kms.config.where import Where


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Settings(Where, frozen=True, kw_only=True):
    """What is in force. A field's environment name is ``KMS_`` and its name in capitals; its flag ``--its-name``."""

    workers: Annotated[int, Knob(Section.PROCESSES, whole(1, 256), "Worker processes.", "one for each core")] = (
        msgspec.field(default_factory=cores)
    )
    server: Annotated[
        str,
        Knob(
            Section.PROCESSES,
            one_of("hypercorn", "granian"),
            "What speaks HTTP in front of the API; Granian is the extra `ron-kms[granian]`.",
        ),
    ] = "hypercorn"
    debug_dumpable: Annotated[
        bool,
        Knob(
            Section.PROCESSES,
            SWITCH,
            "Let debuggers and profilers of the same user read the processes' memory, keys included.",
        ),
    ] = False
    drain_seconds: Annotated[
        float,
        Knob(
            Section.PROCESSES,
            seconds(0, 600),
            "On SIGTERM, requests in flight may take this long to finish.",
            reloads=True,
        ),
    ] = 3.0

    max_connections: Annotated[
        int,
        Knob(
            Section.CONNECTIONS,
            whole(1, 100_000),
            "Open connections a worker; further ones are closed at once.",
            reloads=True,
        ),
    ] = 4096
    idle_seconds: Annotated[
        float,
        Knob(
            Section.CONNECTIONS,
            seconds(0.1, 86_400),
            "A connection without a request is closed after this.",
            reloads=True,
        ),
    ] = 60.0
    request_seconds: Annotated[
        float,
        Knob(Section.CONNECTIONS, seconds(0.1, 3600), "A request must have arrived whole within this.", reloads=True),
    ] = 20.0
    response_seconds: Annotated[
        float,
        Knob(Section.CONNECTIONS, seconds(0.1, 3600), "A client must have taken its answer within this.", reloads=True),
    ] = 30.0

    body_memory: Annotated[
        int,
        Knob(
            Section.CONNECTIONS,
            whole(32 << 20, 1 << 40),
            "Bytes that the bodies of requests and answers may take in a worker's memory; who has its part of them is"
            " answered 429.",
            reloads=True,
        ),
    ] = 64 << 20

    max_inflight_sign: Annotated[
        int,
        Knob(
            Section.ADMISSION,
            whole(1, 1_000_000),
            "Requests in flight that sign, all workers together; further ones are answered 429.",
            reloads=True,
        ),
    ] = 512
    max_inflight_verify: Annotated[
        int,
        Knob(
            Section.ADMISSION,
            whole(1, 1_000_000),
            "The same for requests that verify.",
            reloads=True,
        ),
    ] = 1024
    max_inflight_wrap: Annotated[
        int,
        Knob(
            Section.ADMISSION,
            whole(1, 1_000_000),
            "The same for requests that wrap, unwrap, rewrap, seal or open.",
            reloads=True,
        ),
    ] = 512
    max_inflight_admin: Annotated[
        int,
        Knob(
            Section.ADMISSION,
            whole(1, 1_000_000),
            "The same for all others.",
            reloads=True,
        ),
    ] = 256
    tenant_share_min: Annotated[
        int,
        Knob(
            Section.ADMISSION,
            whole(0, 100),
            "Per cent of each of these that a tenant is sure of, whatever the others do.",
            reloads=True,
        ),
    ] = 5
    max_wait_ms: Annotated[
        int,
        Knob(
            Section.ADMISSION,
            whole(0, 60_000),
            "Milliseconds. While cryptography would begin later than this, who has more than its sure share is answered"
            " 429; 0 for never.",
            reloads=True,
        ),
    ] = 5
    tenant_rate: Annotated[
        int,
        Knob(
            Section.ADMISSION,
            whole(0, 1_000_000_000),
            "Operations a second of one tenant, all workers together; 0 for no limit.",
            reloads=True,
        ),
    ] = 0
    max_rate: Annotated[
        int,
        Knob(
            Section.ADMISSION,
            whole(0, 1_000_000_000),
            "Operations a second of the whole service; 0 for no limit.",
            reloads=True,
        ),
    ] = 0

    key_slots: Annotated[
        int, Knob(Section.KEYS, whole(16, 16_384), "Private keys that a worker holds ready in locked memory.")
    ] = 1024
    freshness_ms: Annotated[
        int,
        Knob(
            Section.KEYS,
            whole(100, 60_000),
            "Milliseconds. A worker that has not looked at the store for longer refuses to use private keys; so what is"
            " disabled or revoked is so everywhere after this at most.",
        ),
    ] = 1000
    verify_cache_max: Annotated[
        int,
        Knob(
            Section.KEYS,
            whole(1, 100_000_000),
            "Versions of keys whose public part is kept in memory, by all workers together; each has its part.",
            reloads=True,
        ),
    ] = 262_144
    verify_cache_bytes: Annotated[
        int,
        Knob(
            Section.KEYS,
            whole(1 << 20, 1 << 40),
            "Bytes that they may take, in all workers together; a hybrid version takes about 2.8 KiB in each worker"
            " that uses it.",
            reloads=True,
        ),
    ] = 128 << 20
    verify_cache_ttl_ms: Annotated[
        int,
        Knob(
            Section.KEYS,
            whole(100, 86_400_000),
            "Milliseconds. What is kept and used is read anew in the background after this, and serves no more after"
            " twice as long; so while the store is away, verify goes on for this at least, twice as long at most.",
            reloads=True,
        ),
    ] = 300_000

    pq_produce_hybrid: Annotated[
        bool,
        Knob(
            Section.POLICY,
            BOOL,
            "Whether new versions are hybrid where no suite is named and `or` holds; false is phase 0, all classical.",
            reloads=True,
        ),
    ] = True
    pq_verify_mode: Annotated[
        str,
        Knob(
            Section.POLICY,
            one_of("or", "and", "pq_only"),
            "What verify demands for tenants without a policy of their own: any track, every track with the"
            " post-quantum one among them, or the post-quantum one.",
            reloads=True,
        ),
    ] = "or"
    pq_rollout_percent: Annotated[
        int,
        Knob(
            Section.POLICY,
            whole(0, 100),
            "Share of each tenant's keys that they hold for; the others follow the phase before.",
            reloads=True,
        ),
    ] = 100
    pq_rollback_window: Annotated[
        float,
        Knob(
            Section.POLICY,
            seconds(0, 31_536_000),
            "For so long after a step to `and`, a valid signature that it refuses unannounced takes the tenant back to"
            " `or`; 0 for never.",
            reloads=True,
        ),
    ] = 604_800.0

    attestation: Annotated[
        str,
        Knob(
            Section.KEYS,
            one_of("never", "if-available", "required"),
            "Whether signing asks what vouches for where a key is kept. Nothing does for keys in the store: with"
            " `required` they do not sign.",
        ),
    ] = "if-available"
    audit_private: Annotated[
        str,
        Knob(
            Section.AUDIT,
            one_of("durable", "written"),
            "When an operation with a key is answered: its record is on the disk, or with the kernel and on the disk"
            " within 50 ms. Records of changes are always on the disk.",
        ),
    ] = "durable"
    audit_verify: Annotated[
        str,
        Knob(
            Section.AUDIT,
            one_of("durable", "relaxed", "off"),
            "Records of verify: on the disk before the answer, soon after it, or none.",
        ),
    ] = "relaxed"
    expect_checkpoint: Annotated[
        Path | None,
        Knob(
            Section.AUDIT,
            PATH,
            "A checkpoint that was kept elsewhere: the service does not start where its audit log does not contain it.",
            "none",
        ),
    ] = None
    node: Annotated[
        str,
        Knob(
            Section.AUDIT,
            text("the name of this node, of a-z, 0-9, dot, dash and underscore", "NAME"),
            "Its name in the origins of its audit logs.",
            "a random one, kept in the data folder",
        ),
    ] = ""

    log_level: Annotated[
        str,
        Knob(
            Section.LOGS,
            one_of("debug", "info", "warning", "error"),
            "The least severe log lines that are written.",
            reloads=True,
        ),
    ] = "info"
    traces_url: Annotated[
        str | None,
        Knob(
            Section.LOGS,
            COLLECTOR,
            "Collector that OpenTelemetry traces are sent to (OTLP over HTTP); needs the extra `ron-kms[traces]`.",
            "none: nothing is traced",
        ),
    ] = None
    traces_percent: Annotated[
        float,
        Knob(
            Section.LOGS,
            percent(),
            "Share of requests that are traced, of those whose `traceparent` has not decided it.",
        ),
    ] = 100.0

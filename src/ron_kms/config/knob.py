"""What a setting says about itself, and the themes that settings are told by."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from ron_kms.config.kinds import Kind


class Section(Enum):
    """A theme of settings; their order here is that of the reference page."""

    DATA = "Data and the root key"
    ADDRESSES = "Addresses and TLS"
    PROCESSES = "Processes and memory"
    CONNECTIONS = "Connections"
    ADMISSION = "Admission"
    KEYS = "Keys, caches and freshness"
    POLICY = "Post-quantum policy"
    AUDIT = "Audit log"
    LOGS = "Logs and traces"


class Knob(NamedTuple):
    """What the field of a setting says about itself.

    :ivar shown: the default in words, where it is computed.
    :ivar reloads: whether SIGHUP changes it; otherwise it needs a restart. Whoever uses it in a worker registers with
        :class:`ron_kms.server.reloads.Reloads`.
    """

    section: Section
    kind: Kind
    help: str
    shown: str | None = None
    reloads: bool = False

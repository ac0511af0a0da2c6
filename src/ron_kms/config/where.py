"""The first part of the table of settings: where the data are, and where the service listens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec

from ron_kms.config.kinds import ADDRESS, PATH, SWITCH, Address, one_of, text
from ron_kms.config.knob import Knob, Section


def state_directory() -> Path:
    """``ron-kms`` in the XDG state directory."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else Path("~/.local/state").expanduser()) / "ron-kms"


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of :class:`ron_kms.config.settings.Settings`."""

    data_dir: Annotated[
        Path,
        Knob(
            Section.DATA,
            PATH,
            "Folder of the store, the root key and the administrator's token; only its owner may have access.",
            "ron-kms in the XDG state directory (~/.local/state/ron-kms)",
        ),
    ] = msgspec.field(default_factory=state_directory)
    store_url: Annotated[
        str,
        Knob(
            Section.DATA,
            text("a database URL such as sqlite:////var/lib/ron-kms/ron-kms.db", "URL"),
            "The store of keys; SQLite is the one engine so far.",
            "ron-kms.db in the data folder",
        ),
    ] = ""
    seal: Annotated[
        str,
        Knob(
            Section.DATA,
            text("a seal, keyfile:<path> or passphrase:<path>", "SEAL"),
            "Where the root key rests that seals all others.",
            "keyfile:root.key in the data folder",
        ),
    ] = ""
    passphrase_file: Annotated[
        Path | None,
        Knob(
            Section.DATA,
            PATH,
            "File, named pipe or inherited descriptor (/dev/fd/3) whose first line is the passphrase of a passphrase"
            " seal.",
            "none: it is asked at the terminal",
        ),
    ] = None

    amnesia: Annotated[
        bool,
        Knob(
            Section.DATA,
            SWITCH,
            "Write nothing to disk: the root key is in guarded memory only, the store and all files are in a folder in"
            " /dev/shm that goes when the service stops. One worker; no data folder, store or seal may be given.",
        ),
    ] = False

    http_addr: Annotated[
        Address, Knob(Section.ADDRESSES, ADDRESS, "Where the API listens. Port 0 takes any free port.")
    ] = Address("127.0.0.1", 9446)
    operator_addr: Annotated[
        Address,
        Knob(
            Section.ADDRESSES,
            ADDRESS,
            "Where /healthz, /readyz, /metrics and /version are served, always in plain text.",
        ),
    ] = Address("127.0.0.1", 9909)
    insecure_plaintext: Annotated[
        bool,
        Knob(
            Section.ADDRESSES,
            SWITCH,
            "Allow plain text on addresses that others can reach: tokens and payloads are readable.",
        ),
    ] = False
    tls_cert: Annotated[
        Path | None,
        Knob(
            Section.ADDRESSES,
            PATH,
            "Certificate chain (PEM); with the key it makes the API speak TLS 1.3.",
            "none",
        ),
    ] = None
    tls_key: Annotated[
        Path | None, Knob(Section.ADDRESSES, PATH, "The certificate's private key (PEM, not encrypted).", "none")
    ] = None
    tls_client_ca: Annotated[
        Path | None,
        Knob(
            Section.ADDRESSES,
            PATH,
            "Authorities (PEM) one of which must have signed a client's certificate.",
            "none",
        ),
    ] = None
    tls_pq: Annotated[
        str,
        Knob(
            Section.ADDRESSES,
            one_of("prefer", "require", "off"),
            "The key exchange X25519MLKEM768: `prefer` takes it where the server's TLS has it, `require` does not start"
            " where it has not, `off` agrees on X25519 alone.",
        ),
    ] = "prefer"

    def __post_init__(self) -> None:
        force = msgspec.structs.force_setattr
        if not self.store_url:
            force(self, "store_url", f"sqlite:///{self.data_dir / 'ron-kms.db'}")
        if not self.seal:
            force(self, "seal", f"keyfile:{self.data_dir / 'root.key'}")

    @property
    def tls(self) -> bool:
        return self.tls_cert is not None

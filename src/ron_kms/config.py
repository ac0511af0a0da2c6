"""Settings: flags over ``KMS_*`` environment over TOML file over defaults, from one table.

The fields of :class:`Settings` are the table: names, types, defaults and texts of flags, environment, file, help and
the reference page are all made from them. Values that are wrong are named, all at once, and never repeated, for a value
in the wrong place may be a secret.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_type_hints

import msgspec

from ron_kms.errors import ConfigurationError

CONFIG_ENV = "KMS_CONFIG"
"""The TOML file; the flag is ``--config``."""


class Address(NamedTuple):
    """Where to listen: an IP address and a port, 0 for any free one."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def reachable(self) -> Address:
        """Where a client on this machine finds it."""
        address = ipaddress.ip_address(self.host)
        if not address.is_unspecified:
            return self
        return Address("127.0.0.1" if address.version == 4 else "::1", self.port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Kind(NamedTuple):
    """How a value is read from text or TOML; ``expects`` completes "it must be ..."."""

    read: Callable[[Any], Any]
    expects: str
    metavar: str


class Knob(NamedTuple):
    """What the field of a setting says about itself; ``shown`` is the default in words, where it is computed."""

    kind: Kind
    help: str
    shown: str | None = None


def _address(value: Any) -> Address:
    host, _, port = str(value).rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    number = int(port)
    if not (port.isdecimal() and 0 <= number <= 65535):
        raise ValueError
    return Address(str(ipaddress.ip_address(host)), number)


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[str(value).lower()]


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _path(value: Any) -> Path:
    return Path(_text(value)).expanduser().absolute()


def _whole(low: int, high: int) -> Kind:
    def read(value: Any) -> int:
        if isinstance(value, bool | float):
            raise TypeError
        number = int(value)
        if not low <= number <= high:
            raise ValueError
        return number

    return Kind(read, f"a whole number from {low:,} to {high:,}", "N")


def _seconds(low: float, high: float) -> Kind:
    def read(value: Any) -> float:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
        if not low <= number <= high:
            raise ValueError
        return number

    return Kind(read, f"a number of seconds from {low:g} to {high:.10g}", "SECONDS")


def _one_of(*words: str) -> Kind:
    def read(value: Any) -> str:
        if value not in words:
            raise ValueError
        return str(value)

    return Kind(read, f"one of {', '.join(words)}", "|".join(words))


_ADDRESS = Kind(_address, "an IP address and a port, such as 127.0.0.1:9446", "HOST:PORT")
_PATH = Kind(_path, "a path", "PATH")
_SWITCH = Kind(_flag, "true or false", "BOOL")
_BOOL = Kind(_flag, "true or false", "true|false")
"""A switch that is on by default, so that its flag has to say which way."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def state_directory() -> Path:
    """``ron-kms`` in the XDG state directory."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else Path("~/.local/state").expanduser()) / "ron-kms"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force. A field's environment name is ``KMS_`` and its name in capitals; its flag ``--its-name``."""

    data_dir: Annotated[
        Path,
        Knob(
            _PATH,
            "Folder of the store, the root key and the administrator's token; only its owner may have access.",
            "ron-kms in the XDG state directory (~/.local/state/ron-kms)",
        ),
    ] = msgspec.field(default_factory=state_directory)
    http_addr: Annotated[Address, Knob(_ADDRESS, "Where the API listens. Port 0 takes any free port.")] = Address(
        "127.0.0.1", 9446
    )
    operator_addr: Annotated[
        Address, Knob(_ADDRESS, "Where /healthz, /readyz, /metrics and /version are served, always in plain text.")
    ] = Address("127.0.0.1", 9909)
    store_url: Annotated[
        str,
        Knob(
            Kind(_text, "a database URL such as sqlite:////var/lib/ron-kms/ron-kms.db", "URL"),
            "The store of keys; SQLite is the one engine so far.",
            "ron-kms.db in the data folder",
        ),
    ] = ""
    seal: Annotated[
        str,
        Knob(
            Kind(_text, "a seal, keyfile:<path> or passphrase:<path>", "SEAL"),
            "Where the root key rests that seals all others.",
            "keyfile:root.key in the data folder",
        ),
    ] = ""
    passphrase_file: Annotated[
        Path | None,
        Knob(
            _PATH,
            "File, named pipe or inherited descriptor (/dev/fd/3) whose first line is the passphrase of a passphrase"
            " seal.",
            "none: it is asked at the terminal",
        ),
    ] = None
    workers: Annotated[int, Knob(_whole(1, 256), "Worker processes.", "one for each core")] = msgspec.field(
        default_factory=cores
    )
    log_level: Annotated[
        str, Knob(_one_of("debug", "info", "warning", "error"), "The least severe log lines that are written.")
    ] = "info"
    tls_cert: Annotated[
        Path | None, Knob(_PATH, "Certificate chain (PEM); with the key it makes the API speak TLS 1.3.", "none")
    ] = None
    tls_key: Annotated[Path | None, Knob(_PATH, "The certificate's private key (PEM, not encrypted).", "none")] = None
    tls_client_ca: Annotated[
        Path | None, Knob(_PATH, "Authorities (PEM) one of which must have signed a client's certificate.", "none")
    ] = None
    insecure_plaintext: Annotated[
        bool, Knob(_SWITCH, "Allow plain text on addresses that others can reach: tokens and payloads are readable.")
    ] = False
    debug_dumpable: Annotated[
        bool, Knob(_SWITCH, "Let debuggers and profilers of the same user read the processes' memory, keys included.")
    ] = False
    key_slots: Annotated[int, Knob(_whole(16, 16_384), "Private keys that a worker holds ready in locked memory.")] = (
        1024
    )
    pq_produce_hybrid: Annotated[
        bool,
        Knob(
            _BOOL,
            "Whether new versions are hybrid where no suite is named and `or` holds; false is phase 0, all classical.",
        ),
    ] = True
    pq_verify_mode: Annotated[
        str,
        Knob(
            _one_of("or", "and", "pq_only"),
            "What verify demands for tenants without a policy of their own: any track, every track with the"
            " post-quantum one among them, or the post-quantum one.",
        ),
    ] = "or"
    pq_rollout_percent: Annotated[
        int,
        Knob(_whole(0, 100), "Share of each tenant's keys that they hold for; the others follow the phase before."),
    ] = 100
    pq_rollback_window: Annotated[
        float,
        Knob(
            _seconds(0, 31_536_000),
            "For so long after a step to `and`, a valid signature that it refuses unannounced takes the tenant back to"
            " `or`; 0 for never.",
        ),
    ] = 604_800.0
    freshness_ms: Annotated[
        int,
        Knob(
            _whole(100, 60_000),
            "Milliseconds. A worker that has not looked at the store for longer refuses to use private keys; so what is"
            " disabled or revoked is so everywhere after this at most.",
        ),
    ] = 1000
    max_connections: Annotated[
        int, Knob(_whole(1, 100_000), "Open connections a worker; further ones are closed at once.")
    ] = 4096
    idle_seconds: Annotated[
        float, Knob(_seconds(0.1, 86_400), "A connection without a request is closed after this.")
    ] = 60.0
    request_seconds: Annotated[float, Knob(_seconds(0.1, 3600), "A request must have arrived whole within this.")] = (
        20.0
    )
    response_seconds: Annotated[
        float, Knob(_seconds(0.1, 3600), "A client must have taken its answer within this.")
    ] = 30.0
    drain_seconds: Annotated[
        float, Knob(_seconds(0, 600), "On SIGTERM, requests in flight may take this long to finish.")
    ] = 3.0

    def __post_init__(self) -> None:
        force = msgspec.structs.force_setattr
        if not self.store_url:
            force(self, "store_url", f"sqlite:///{self.data_dir / 'ron-kms.db'}")
        if not self.seal:
            force(self, "seal", f"keyfile:{self.data_dir / 'root.key'}")

    @property
    def tls(self) -> bool:
        return self.tls_cert is not None


class Definition(NamedTuple):
    """One row of the table."""

    name: str
    env: str
    flag: str
    knob: Knob
    default: str
    """In words."""
    switch: bool


def _definitions() -> tuple[Definition, ...]:
    hints = get_type_hints(Settings, include_extras=True)
    rows = []
    for field in msgspec.structs.fields(Settings):
        (knob,) = hints[field.name].__metadata__
        default = knob.shown
        if default is None:
            default = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
        rows.append(
            Definition(
                name=field.name,
                env="KMS_" + field.name.upper(),
                flag="--" + field.name.replace("_", "-"),
                knob=knob,
                default=default.lower() if isinstance(field.default, bool) else default,
                switch=knob.kind is _SWITCH,
            )
        )
    return tuple(rows)


DEFINITIONS = _definitions()
"""Every setting, in the order of the reference page."""


class Loaded(NamedTuple):
    """Settings, and what a reader of the log should know about how they came to be."""

    settings: Settings
    warnings: list[str]


def load(flags: Mapping[str, Any], environ: Mapping[str, str]) -> Loaded:
    """Settings from all sources.

    :param flags: values by setting name, None where a flag was not given; ``config`` is the TOML file.
    :param environ: usually ``os.environ``. Names that begin with ``KMS_`` and mean nothing are warned of.
    :raises ConfigurationError: with all faults at once.
    """
    faults: list[str] = []
    values: dict[str, Any] = {}
    file, origin = flags.get("config"), "--config"
    if file is None and (file := environ.get(CONFIG_ENV)):
        origin = CONFIG_ENV
    if file:
        for name, value in _file(Path(file), origin, faults).items():
            _take(values, faults, name, value, f"{name} in the file of {origin}")
    for definition in DEFINITIONS:
        if definition.env in environ:
            _take(values, faults, definition.name, environ[definition.env], definition.env)
        if flags.get(definition.name) is not None:
            _take(values, faults, definition.name, flags[definition.name], definition.flag)
    known = {definition.env for definition in DEFINITIONS} | {CONFIG_ENV}
    strange = sorted(name for name in environ if name.startswith("KMS_") and name not in known)
    settings = Settings(**values)
    faults += _contradictions(settings)
    if faults:
        raise ConfigurationError(
            faults[0] if len(faults) == 1 else "\n  ".join([f"{len(faults)} settings are wrong:", *faults]),
            hint="ron-kms serve --help lists the settings.",
        )
    return Loaded(settings, [f"{name} is not a setting of this version and changes nothing" for name in strange])


def _file(path: Path, origin: str, faults: list[str]) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        faults.append(f"the file of {origin} cannot be read: {error.strerror}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        faults.append(f"the file of {origin} is not TOML")
    return {}


def _take(values: dict[str, Any], faults: list[str], name: str, value: Any, origin: str) -> None:
    definition = next((row for row in DEFINITIONS if row.name == name), None)
    if definition is None:
        # Its name may be a secret in the wrong place too, but without it nobody could find it.
        faults.append(f"{origin} is not a setting")
        return
    try:
        values[name] = definition.knob.kind.read(value)
    except (ValueError, TypeError, KeyError, RuntimeError):
        faults.append(f"{origin} must be {definition.knob.kind.expects}")


def _contradictions(settings: Settings) -> list[str]:
    faults = []
    if (settings.tls_cert is None) != (settings.tls_key is None):
        faults.append("tls_cert and tls_key are needed together")
    if settings.tls_client_ca is not None and settings.tls_cert is None:
        faults.append("tls_client_ca needs tls_cert and tls_key")
    if not settings.insecure_plaintext:
        if not settings.tls and not settings.http_addr.loopback:
            faults.append("http_addr is not on loopback: it needs tls_cert and tls_key, or --insecure-plaintext")
        if not settings.operator_addr.loopback:
            faults.append("operator_addr is not on loopback: it serves plain text, which needs --insecure-plaintext")
    if settings.pq_verify_mode == "and" and not settings.pq_produce_hybrid:
        faults.append("pq_verify_mode is 'and': it needs pq_produce_hybrid, or it would refuse what is newly made")
    if settings.http_addr == settings.operator_addr and settings.http_addr.port:
        faults.append("http_addr and operator_addr are the same")
    return faults


_PREAMBLE = """\
A flag goes before the environment, the environment before the TOML file (`--config` or `KMS_CONFIG`), the file before
the default. In the file a setting is named as its flag is, with `_` for `-`: `http_addr = "127.0.0.1:9446"`. An unknown
name is refused in the file and warned of in the environment. This page is made from the definitions in
`src/ron_kms/config.py`; a test compares them."""


def reference() -> str:
    """The reference page of all settings, as Markdown."""
    rows = [
        f"| `{row.env}` | `{row.flag}` | {row.knob.help} It must be {row.knob.kind.expects}. | {row.default} |"
        for row in DEFINITIONS
    ]
    return "\n".join(
        [
            "# Settings",
            "",
            _PREAMBLE,
            "",
            "| environment | flag | what it does | default |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    print(reference(), end="")  # noqa: T201

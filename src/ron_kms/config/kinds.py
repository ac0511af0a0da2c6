"""How values are read from text or TOML: one kind for each sort of value, shared by the settings of that sort."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


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


def _itself(value: Any) -> Any:
    return value


class Kind(NamedTuple):
    """How a value is read from text or TOML; ``expects`` completes "it must be ...".

    :ivar tell: the value as people and scripts may see it: without secrets, as a plain JSON value.
    """

    read: Callable[[Any], Any]
    expects: str
    metavar: str
    tell: Callable[[Any], Any] = _itself


def _told(value: Any) -> str | None:
    return None if value is None else str(value)


def _without_passwords(value: str) -> str:
    """A URL without its password and the values in its query, rather too much than too little; other text as it is."""
    scheme, mark, rest = value.partition("://")
    if not mark:
        return value
    if "@" in rest and not rest.startswith("/"):
        user, _, place = rest.rpartition("@")
        name, colon, _ = user.partition(":")
        rest = f"{name}{':***' if colon else ''}@{place}"
    return scheme + mark + re.sub(r"([?&][^=&]*)=[^&]*", r"\1=***", rest)


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
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError
    return value


def _path(value: Any) -> Path:
    return Path(_text(value)).expanduser().absolute()


def text(expects: str, metavar: str) -> Kind:
    """Text that is not empty; what it means is checked where it is used."""
    return Kind(_text, expects, metavar, _without_passwords)


def whole(low: int, high: int) -> Kind:
    """A whole number within bounds, which are allowed themselves."""

    def read(value: Any) -> int:
        if isinstance(value, bool | float):
            raise TypeError
        number = int(value)
        if not low <= number <= high:
            raise ValueError
        return number

    return Kind(read, f"a whole number from {low:,} to {high:,}", "N")


def seconds(low: float, high: float) -> Kind:
    """A number of seconds within bounds, which are allowed themselves."""
    return Kind(_number(low, high), f"a number of seconds from {low:g} to {high:.10g}", "SECONDS")


def percent() -> Kind:
    """A share in per cent, fractions allowed."""
    return Kind(_number(0, 100), "a number from 0 to 100", "PERCENT")


def _number(low: float, high: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
        if not low <= number <= high:
            raise ValueError
        return number

    return read


def _collector(value: Any) -> str:
    address = _text(value)
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", address):
        raise ValueError
    return address


def one_of(*words: str) -> Kind:
    """One of a few words."""

    def read(value: Any) -> str:
        if value not in words:
            raise ValueError
        return str(value)

    return Kind(read, f"one of {', '.join(words)}", "|".join(words))


COLLECTOR = Kind(
    _collector,
    "a URL such as http://127.0.0.1:4318/v1/traces",
    "URL",
    lambda value: value and _without_passwords(value),
)
ADDRESS = Kind(_address, "an IP address and a port, such as 127.0.0.1:9446", "HOST:PORT", _told)
PATH = Kind(_path, "a path", "PATH", _told)
SWITCH = Kind(_flag, "true or false", "BOOL")
BOOL = Kind(_flag, "true or false", "true|false")
"""A switch that is on by default, so that its flag has to say which way."""

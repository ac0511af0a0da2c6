"""From bytes and parameters to request Structs; the only place where what a client wrote could get into an answer.

msgspec's messages say what was expected and where (``Expected `int`, got `str` - at `$.items[0].n```), and they are
passed on, for they are what the caller needs. Three of them quote the input: unknown fields, enumerations and tags. Of
those a plain field name may stay, a value never does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec.structs import FieldInfo

from ron_kms.api.http.headers import Format
from ron_kms.api.http.unique import refuse_repeated
from ron_kms.errors import BadRequest, TooLarge

T = TypeVar("T", bound=msgspec.Struct)

_AT = r"(?P<at> - at (?:`key` in )?`\$(?:\.[a-z][a-z0-9_]{0,40}|\[\d{1,7}\]|\[\.\.\.\]){0,8}`)?"
_UNKNOWN_FIELD = re.compile(rf"Object contains unknown field `(.*?)`{_AT}", re.DOTALL)
_VALUE = re.compile(rf"Invalid (?:enum )?value .*?{_AT}", re.DOTALL)
_TOO_LONG = re.compile(r"Expected `(array|str|bytes)` of length <= \d+ - at `\$\.items`")
_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,40}")
_PLAIN = re.compile(r"[\x20-\x7e]{1,400}")
_PARAMETER = re.compile(r"\{(\w+)\}")
_HINTS = (
    ("missing required field", "Add the field: /openapi.json says what each call needs."),
    ("unknown field", "Leave the field out, or mind its spelling: /openapi.json has those of each call."),
    ("base64", "In JSON, bytes are base64 with padding (RFC 4648)."),
    ("Expected `bytes`, got", "In JSON, bytes are base64 text; in MessagePack they are of type bin."),
    ("matching regex", "The pattern says which characters it may have, and how many."),
    ("Invalid value", "Use one of the values that /openapi.json lists for this field."),
    ("truncated", "Send one whole document, of the type that Content-Type says."),
    ("malformed", "Send one whole document, of the type that Content-Type says."),
)
"""What to do about a message that has these words; for others the schema is the answer."""
_MAX_PARAMETERS = 16
_LONGEST = 1024


class Decoder(Generic[T]):
    """Decodes one type of request.

    Its fields come from the path, where that names them, and from the body; without a body also from the query.

    :param path: the operation's, with parameters in braces.
    """

    def __init__(self, type_: type[T], path: str = "") -> None:
        self._type = type_
        self._path, self.content = divide(type_, path)
        self._by_format: dict[Format, Callable[[bytes], msgspec.Struct]] = {
            "json": msgspec.json.Decoder(self.content, strict=True).decode,
            "msgpack": msgspec.msgpack.Decoder(self.content, strict=True).decode,
        }
        self.optional = not any(field.required for field in msgspec.structs.fields(self.content))

    def body(self, format_: Format, content: bytes, path: Mapping[str, str] | None = None) -> T:
        """A request from its body and the parameters of its path.

        :raises BadRequest: anything wrong with it; the message says what and where.
        :raises TooLarge: more items than a batch may have.
        """
        if not content:
            raise BadRequest("the body is empty")
        try:
            decoded = self._by_format[format_](content)
            refuse_repeated(format_, content, decoded)
        except msgspec.MsgspecError as error:
            raise _refusal(str(error)) from None
        except UnicodeDecodeError:
            raise BadRequest("a string in the body is not UTF-8") from None
        except RecursionError:
            raise BadRequest("the body is nested too deep") from None
        return self._joined(decoded, path)

    def nothing(self, path: Mapping[str, str]) -> T:
        """A request whose body was left away, for types that need none of its fields.

        :raises BadRequest: a parameter of the wrong form.
        """
        return self._joined(self.content(), path)

    def parameters(self, path: Mapping[str, str], query: bytes) -> T:
        """A request from the parameters of its path and its query.

        :raises BadRequest: a parameter unknown, repeated or of the wrong form.
        """
        given = dict(path)
        for name, value in _query(query):
            if name in given:
                raise BadRequest("a query parameter is given more than once")
            given[name] = value
        return _convert(given, self._type)

    def _joined(self, content: msgspec.Struct, path: Mapping[str, str] | None) -> T:
        if isinstance(content, self._type):
            return content
        named = _convert(path or {}, self._path)
        return self._type(**msgspec.structs.asdict(named), **msgspec.structs.asdict(content))


def divide(type_: type[msgspec.Struct], path: str) -> tuple[type[msgspec.Struct], type[msgspec.Struct]]:
    """The type of a request as two: what its path names, and the rest, which keeps the name."""
    named = set(_PARAMETER.findall(path))
    fields = msgspec.structs.fields(type_)
    if not named:
        return msgspec.defstruct("Nothing", []), type_
    return (
        _part(f"{type_.__name__}Path", type_, [field for field in fields if field.name in named]),
        _part(type_.__name__, type_, [field for field in fields if field.name not in named]),
    )


def _part(name: str, type_: type[msgspec.Struct], fields: Sequence[FieldInfo]) -> type[msgspec.Struct]:
    return msgspec.defstruct(
        name,
        [(field.name, field.type) if field.required else (field.name, field.type, _default(field)) for field in fields],
        kw_only=True,
        forbid_unknown_fields=True,
        omit_defaults=True,
        namespace={"__doc__": type_.__doc__},
    )


def _default(field: FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return field.default


def _convert(given: Mapping[str, str], type_: type[T]) -> T:
    try:
        return msgspec.convert(given, type_, strict=False)
    except msgspec.MsgspecError as error:
        raise _refusal(str(error)) from None


def refuse_query(query: bytes) -> None:
    """:raises BadRequest: there are query parameters where none are known."""
    if query:
        raise BadRequest("this call takes no query parameters")


def _query(query: bytes) -> list[tuple[str, str]]:
    if not query:
        return []
    try:
        return parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MAX_PARAMETERS,
        )
    except ValueError:
        raise BadRequest("the query is not name=value pairs, percent-encoded UTF-8, joined by &") from None


def _refusal(message: str) -> BadRequest | TooLarge:
    """The error for a message of msgspec's, free of what the client wrote."""
    if len(message) > _LONGEST:  # it quotes the client at length, and is not worth searching
        return _bad("Invalid value or unknown field")
    match = _UNKNOWN_FIELD.fullmatch(message)
    if match is not None:
        name = match[1] if _FIELD_NAME.fullmatch(match[1]) else "?"
        return _bad(f"Object contains unknown field `{name}`{_place(match)}")
    match = _VALUE.fullmatch(message)
    if match is not None:
        return _bad(f"Invalid value{_place(match)}")
    if _TOO_LONG.fullmatch(message):
        return TooLarge(message)
    return _bad(message if _PLAIN.fullmatch(message) else "the body is malformed")


def _bad(message: str) -> BadRequest:
    return BadRequest(message, hint=next((hint for words, hint in _HINTS if words in message), None))


def _place(match: re.Match[str]) -> str:
    return match["at"] or ""

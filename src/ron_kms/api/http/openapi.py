"""The OpenAPI 3.1 document, made from the table of operations and the Structs that decode its requests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from ron_kms.api.http.body import MAX_RATIO
from ron_kms.api.http.decode import divide
from ron_kms.api.http.errors import ErrorAnswer
from ron_kms.api.http.examples import example
from ron_kms.api.http.headers import MEDIA_TYPES
from ron_kms.errors import ConfigurationError, InvalidSignature, KmsError, codes
from ron_kms.service.operation import File, Operation

Schema = dict[str, Any]

_REF = "#/components/schemas/{name}"
_SENTENCE = re.compile(r"(?<=\.)\s+")
_KEPT_HEADERS = ("Cache-Control", "Vary")

_FILES = ("application/octet-stream", "text/plain")
"""What answers that are no Structs come as."""

_ABOUT = """\
A key management service for classical, post-quantum and hybrid keys.

**Formats.** JSON (`application/json`) and MessagePack (`application/msgpack`), from the same schemas and under the
same names. `Content-Type` says which one a body is in. `Accept` says which one to answer in; without it, or with
`*/*`, the answer comes in the format of the request. Binary fields are standard base64 in JSON and raw bytes in
MessagePack. Unknown fields and query parameters are refused; of a repeated field in one object the last counts.

**Tokens.** `Authorization: Bearer <token>`. Each call names the scope that its token needs. A key outside the token's
tenant or prefix is answered as if it did not exist.

**Limits.** {body_bytes} bytes of body on the wire; `Content-Encoding: gzip` is taken, up to {ratio} times its size
unpacked. A batch has at most 1,024 items.

**Changes.** Reading a key answers its ETag, and calls that take `If-Match` change it only while it is still that one.
`op_id`, a UUID of the caller's, makes create, rotate and destroy happen once: for 7 days the same request with it gives
the first answer again.

**Errors.** Every answer that is not 2xx has the body `ErrorAnswer`. `code` is for programs, `retryable` says whether
the same request may succeed later, `request_id` is what `X-Corr-ID` says. A path without the method asked for answers
400 with an `Allow` header; HEAD works where GET does. A body that takes too long to arrive is a BadRequest.
"""

_CORR_ID = {
    "type": "string",
    "pattern": "^[A-Za-z0-9._-]{1,128}$",
    "examples": ["0190a7e0-7a53-7c3a-9f7e-2f6f0a1b2c3d"],
}


def describe(operations: Sequence[Operation], body_bytes: int) -> Schema:
    """The document for these operations, as plain data."""
    bodies = {operation.name: _body_of(operation) for operation in operations}
    types = [type_ for operation in operations for type_ in (bodies[operation.name], operation.response)]
    types = [type_ for type_ in types if type_ is not File]
    types.append(ErrorAnswer)
    _, schemas = msgspec.json.schema_components([type_ for type_ in types if type_ is not None], ref_template=_REF)
    paths: dict[str, Schema] = {}
    for operation in operations:
        described = _operation(operation, bodies[operation.name], schemas)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ron-kms",
            "version": version("ron-kms"),
            "summary": "Sign and verify with keys that never leave.",
            "description": _ABOUT.format(body_bytes=f"{body_bytes:,}", ratio=MAX_RATIO),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {"NotModified": _not_modified(), **dict(_error_responses())},
            "headers": _response_headers(),
            "parameters": {
                "CorrID": {
                    "name": "X-Corr-ID",
                    "in": "header",
                    "description": "Names the request in answers and logs; one is made where none is given.",
                    "schema": _CORR_ID,
                },
                "IfMatch": {
                    "name": "If-Match",
                    "in": "header",
                    "required": True,
                    "description": "The ETag that reading it has answered: where it was changed since then, nothing is"
                    " done. `*` stands for any.",
                    "schema": {"type": "string", "examples": ['"1"']},
                },
                "IfNoneMatch": {
                    "name": "If-None-Match",
                    "in": "header",
                    "description": "ETags of what was read earlier: where one of them is still so, the answer is 304.",
                    "schema": {"type": "string", "examples": ['"1"']},
                },
            },
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "macaroon (libmacaroons v2, base64url)",
                    "description": "Scopes, tenant, prefix and expiry are caveats; a holder can narrow it offline.",
                }
            },
        },
    }


def _body_of(operation: Operation) -> type[msgspec.Struct] | None:
    """What comes in the body of this operation's requests: the fields that its path does not name."""
    _, content = divide(operation.request, operation.path)
    return content if operation.method != "GET" and content.__struct_fields__ else None


def _operation(operation: Operation, body: type[msgspec.Struct] | None, schemas: dict[str, Schema]) -> Schema:
    summary, rest = (*_SENTENCE.split(operation.help.strip(), maxsplit=1), "")[:2]
    described: Schema = {
        "operationId": operation.name,
        "summary": summary.removesuffix("."),
        "description": f"{rest}\n\nScope: `{operation.scope}`".strip(),
        "tags": [operation.path.split("/")[3].partition(":")[0] if operation.path.count("/") > 2 else "other"],
        "parameters": [{"$ref": "#/components/parameters/CorrID"}, *_parameters(operation)],
        "responses": {str(operation.status): _answer(operation, schemas)}
        | {str(status): {"$ref": f"#/components/responses/Error{status}"} for status in _statuses()},
        "x-scope": operation.scope,
    }
    if operation.method == "GET" and "etag" in operation.response.__struct_fields__:
        described["parameters"].append({"$ref": "#/components/parameters/IfNoneMatch"})
        described["responses"]["304"] = {"$ref": "#/components/responses/NotModified"}
    if operation.if_match:
        described["parameters"].append({"$ref": "#/components/parameters/IfMatch"})
    if body is not None:
        required = any(field.required for field in msgspec.structs.fields(body))
        described["requestBody"] = {"required": required, "content": _content(body, schemas)}
    return described


def _parameters(operation: Operation) -> Iterable[Schema]:
    """The fields of a request that its path names and, for GET, the rest as query."""
    named, _ = divide(operation.request, operation.path)
    in_path = set(named.__struct_fields__)
    type_ = operation.request if operation.method == "GET" else named
    _, schemas = msgspec.json.schema_components([type_], ref_template=_REF)
    schema = schemas[type_.__name__]
    for name, field in schema["properties"].items():
        parameter: Schema = {
            "name": name,
            "in": "path" if name in in_path else "query",
            "required": name in in_path or name in schema["required"],
            "schema": {key: value for key, value in field.items() if key != "description"},
        }
        if "description" in field:
            parameter["description"] = field["description"]
        yield parameter


def _answer(operation: Operation, schemas: dict[str, Schema]) -> Schema:
    headers = ["X-Corr-ID"]
    if "cache_age_ms" in operation.response.__struct_fields__:
        headers.append("X-KMS-Cache-Age")
    if "etag" in operation.response.__struct_fields__:
        headers.append("ETag")
        if operation.method == "GET":
            headers += _KEPT_HEADERS
    return {
        "description": (operation.response.__doc__ or "Done.").strip().partition("\n")[0],
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
        "content": _content(operation.response, schemas),
    }


def _not_modified() -> Schema:
    return {
        "description": "It is as it was read earlier.",
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Corr-ID", "ETag", *_KEPT_HEADERS)},
    }


def _content(type_: type[msgspec.Struct], schemas: dict[str, Schema]) -> Schema:
    """The two content types of a Struct; JSON with an example."""
    if type_ is File:
        return {media: {"schema": {"type": "string", "format": "binary"}} for media in _FILES}
    reference = {"$ref": _REF.format(name=type_.__name__)}
    return {
        MEDIA_TYPES["json"]: {"schema": reference, "example": example(reference, schemas)},
        MEDIA_TYPES["msgpack"]: {"schema": reference},
    }


def _wire_errors() -> dict[str, type[KmsError]]:
    """The codes that an answer may carry."""
    return {
        code: error
        for code, error in sorted(codes().items())
        if not issubclass(error, (ConfigurationError, InvalidSignature))
    }


def _statuses() -> list[int]:
    return sorted({error.http for error in _wire_errors().values()})


def _error_responses() -> Iterable[tuple[str, Schema]]:
    for status in _statuses():
        errors = {code: error for code, error in _wire_errors().items() if error.http == status}
        headers = ["X-Corr-ID"]
        if status in (429, 503):
            headers.append("Retry-After")
        if status == 401:
            headers.append("WWW-Authenticate")
        yield (
            f"Error{status}",
            {
                "description": " or ".join(f"`{code}`" for code in errors),
                "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
                "content": {
                    media: {"schema": {"$ref": _REF.format(name=ErrorAnswer.__name__)}}
                    for media in MEDIA_TYPES.values()
                },
                "x-codes": {code: error.default_hint for code, error in errors.items()},
            },
        )


def _response_headers() -> Schema:
    return {
        "X-Corr-ID": {"description": "The request id.", "schema": _CORR_ID},
        "X-KMS-Cache-Age": {
            "description": "Age in milliseconds of the cached key that the answer used; absent when it was fresh.",
            "schema": {"type": "integer", "minimum": 0},
        },
        "Retry-After": {
            "description": "Seconds after which trying again makes sense.",
            "schema": {"type": "integer", "minimum": 1},
        },
        "ETag": {
            "description": "Stands for what was read or written; it changes with every change.",
            "schema": {"type": "string"},
        },
        "Cache-Control": {
            "description": "`private, no-cache`: it may be kept, and its ETag asked for before each use.",
            "schema": {"type": "string"},
        },
        "Vary": {"description": "`accept`: the formats are kept apart.", "schema": {"type": "string"}},
        "WWW-Authenticate": {"description": "The scheme, `Bearer`.", "schema": {"type": "string"}},
    }

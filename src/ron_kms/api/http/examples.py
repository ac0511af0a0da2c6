"""Example values for schemas: what the Structs say in ``Meta(examples=...)``, or the plainest value that fits."""

from __future__ import annotations

import base64
from typing import Any

Schema = dict[str, Any]


def example(schema: Schema, schemas: dict[str, Schema]) -> Any:  # noqa: PLR0911 - one kind of schema a return
    """A value for the schema; of an object without an example of its own, the required fields and those with examples.

    :param schemas: the named schemas that ``$ref`` may point to.
    """
    if "$ref" in schema:
        return example(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "examples" in schema:
        return schema["examples"][0]
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return example(schema[choice][0], schemas)
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    match schema.get("type"):
        case "object":
            required = schema.get("required", [])
            return {
                name: example(field, schemas)
                for name, field in schema.get("properties", {}).items()
                if name in required or "examples" in field
            }
        case "array":
            return [example(schema["items"], schemas)] if isinstance(schema.get("items"), dict) else []
        case "string":
            return _string(schema)
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
    return None


def _string(schema: Schema) -> str:
    if schema.get("contentEncoding") == "base64":
        return base64.b64encode(bytes(schema.get("minLength", 4) // 4 * 3 - 1)).decode()[: schema.get("maxLength")]
    return "2026-01-01T00:00:00Z" if schema.get("format") == "date-time" else "text"

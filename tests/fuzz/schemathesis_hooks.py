"""For schemathesis: the document without MessagePack, whose binary fields no JSON schema describes."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    for path in raw_schema["paths"].values():
        for call in path.values():
            if isinstance(call, dict):
                for part in (call.get("requestBody", {}), *call.get("responses", {}).values()):
                    part.get("content", {}).pop("application/msgpack", None)

"""The reference page of all settings."""

from __future__ import annotations

from ron_kms.config.knob import Section
from ron_kms.config.table import DEFINITIONS

_PREAMBLE = """\
A flag goes before the environment, the environment before the TOML file (`--config` or `KMS_CONFIG`), the file before
the default. An unknown name is refused in the file and warned of in the environment; a value that is wrong is named and
not repeated, and all faults are told at once. `ron-kms config show` tells every value and where it comes from,
`ron-kms config explain` all about one setting. This page is made from the table in
`src/ron_kms/config/settings.py`; a test compares them.

On SIGHUP all sources are read again. What is changed by a reload is then in force; what is changed by a restart waits
for one. [operating.md](operating.md#reload) has the details.

In the file a setting is named as its flag is, with `_` for `-`:

```toml
http_addr = "127.0.0.1:9446"
workers = 4
log_level = "warning"
```

Two names are no settings of the service: `KMS_TOKEN_FILE` names the token of commands that call one, and
`KMS_GRPC_ADDR` is kept for gRPC, which is not there yet."""


def reference() -> str:
    """The whole page, as Markdown."""
    lines = ["# Settings", "", _PREAMBLE, ""]
    for section in Section:
        rows = [row for row in DEFINITIONS if row.knob.section is section]
        if not rows:
            continue
        lines += [f"## {section.value}", ""]
        lines += ["| environment | flag | what it does | default | changed by |", "|---|---|---|---|---|"]
        for row in rows:
            what = f"{row.knob.help} It must be {row.knob.kind.expects}."
            by = "reload" if row.knob.reloads else "restart"
            lines.append(f"| `{row.env}` | `{row.flag}` | {what} | {row.default} | {by} |")
        lines.append("")
    return "\n".join(lines)

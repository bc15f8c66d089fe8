"""The reference of all settings, as Markdown, made from the model.

    python -m postroom.config.reference         writes it to stdout

docs/configuration.md holds it between its two marks; a test compares the two.
"""

import sys
from itertools import groupby

from postroom.config.model import Config
from postroom.config.schema import Setting, settings

BEGIN = "<!-- reference: made by python -m postroom.config.reference -->"
END = "<!-- end of reference -->"


def reference() -> str:
    """Give one table for each section, in the order of the model."""
    tables = []
    for section, members in groupby(settings(Config), key=_section):
        rows = "\n".join(f"| `{one}` | {one.value} | {one.default} | {one.meaning} |" for one in members)
        tables.append(f"### {section}\n\n| setting | value | default | meaning |\n|---|---|---|---|\n{rows}\n")
    return "\n".join(tables)


def _section(setting: Setting) -> str:
    top = setting.path[0]
    return top if len(setting.path) > 1 or setting.value in {"list", "mapping"} else "general"


if __name__ == "__main__":
    sys.stdout.write(reference())

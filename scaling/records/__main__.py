"""``python -m scaling.records``: the tables of columns that ``docs/records.md`` holds."""

from __future__ import annotations

from scaling.records.schema import TABLES, as_markdown

if __name__ == "__main__":
    for name, table in TABLES.items():
        print(f"*{name}*\n\n{as_markdown(table)}\n")  # noqa: T201

"""How plans show themselves in a notebook."""

import html
from collections.abc import Iterable, Mapping


def write_table(caption: str, rows: Iterable[Mapping[str, str]]) -> str:
    """Rows of what and value as HTML."""
    body = "".join(
        f"<tr><th style='text-align:left'>{html.escape(row['what'])}</th>"
        f"<td style='text-align:left'>{html.escape(row['value'])}</td></tr>"
        for row in rows
    )
    return f"<table><caption>{html.escape(caption)}</caption><tbody>{body}</tbody></table>"

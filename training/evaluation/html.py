"""The few elements of HTML that a report is made of. Every text is escaped; nothing is fetched."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

MISSING = "\N{EN DASH}"


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> str:
    """A table whose first column is words and whose others are figures."""
    columns = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines = [
        "<tr>" + f'<th scope="row">{escape(first)}</th>' + "".join(f"<td>{escape(c)}</td>" for c in rest) + "</tr>"
        for first, *rest in rows
    ]
    below = f'<p class="note">{escape(note)}</p>' if note else ""
    return (
        f'<div class="table"><table><caption>{escape(caption)}</caption><thead><tr>{columns}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>{below}</div>"
    )


def figure(svg: str, caption: str) -> str:
    """A picture with its caption; ``svg`` is put in as it is."""
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def paragraph(text: str) -> str:
    """Plain words."""
    return f"<p>{escape(text)}</p>"


def section(title: str, *parts: str) -> str:
    """A heading and what stands under it, as HTML."""
    name = "".join(c if c.isalnum() else "-" for c in title.lower())
    return f'<section id="{name}"><h2>{escape(title)}</h2>{"".join(parts)}</section>'


def number(value: float | None, digits: int = 3) -> str:
    """A figure, or a dash where there is none."""
    return MISSING if value is None else f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def count(value: int | None) -> str:
    """A whole number."""
    return MISSING if value is None else f"{value:,}"


def measured(found: dict[str, Any] | None, digits: int = 3) -> str:
    """A value with its interval in brackets, as much of it as there is."""
    if found is None or found["value"] is None:
        return MISSING
    if found["lower"] is None or found["upper"] is None:
        return number(found["value"], digits)
    return f"{number(found['value'], digits)} ({number(found['lower'], digits)} to {number(found['upper'], digits)})"

"""The few elements of HTML that a report is made of. Every text is escaped; nothing is fetched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Any

_DENSE = 6  # columns: in more than these, intervals stand below their values

MISSING = "\N{EN DASH}"


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> str:
    """A table whose first column is words and whose others are figures."""
    columns = "".join(f'<th scope="col">{text(cell)}</th>' for cell in head)
    lines = [
        "<tr>" + f'<th scope="row">{text(first)}</th>' + "".join(map(_cell, rest)) + "</tr>" for first, *rest in rows
    ]
    kind = "dense" if len(head) > _DENSE else "wide"
    return (
        f'<div class="table"><table class="{kind}"><caption><span>{text(caption)}</span></caption>'
        f"<thead><tr>{columns}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>{remark(note) if note else ''}"
    )


def text(words: str) -> str:
    """Plain words as HTML; ``>=`` gets its sign, and a sign stays with its number."""
    signed = words.replace(">=", "\N{GREATER-THAN OR EQUAL TO}")
    return escape(re.sub(r"([<>\N{GREATER-THAN OR EQUAL TO}]) (?=\d)", "\\1\N{NO-BREAK SPACE}", signed))


def remark(words: str) -> str:
    """What has to be known to read a table, in small print."""
    return f'<p class="note">{text(words)}</p>'


def _cell(figures: str) -> str:
    """An interval in brackets is set apart from its value; in a table of many columns it gets a line of its own."""
    value, bracket, interval = figures.partition(" (")
    inner = escape(value) + (f' <span class="ci">({escape(interval)}</span>' if bracket else "")
    return f"<td>{inner}</td>"


def figure(svg: str, caption: str) -> str:
    """A picture with its caption; ``svg`` is put in as it is."""
    return f'<figure><div class="picture">{svg}</div><figcaption>{text(caption)}</figcaption></figure>'


def paragraph(words: str) -> str:
    """Plain words."""
    return f"<p>{text(words)}</p>"


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


def event(name: str) -> str:
    """``>=5.5`` in words."""
    sign = "<" if name.startswith("<") else "\N{GREATER-THAN OR EQUAL TO}"
    return f"K\N{NO-BREAK SPACE}{sign}\N{NO-BREAK SPACE}{name.lstrip('<>=')}"


def measured(found: dict[str, Any] | None, digits: int = 3) -> str:
    """A value with its interval in brackets, as much of it as there is."""
    if found is None or found["value"] is None:
        return MISSING
    if found["lower"] is None or found["upper"] is None:
        return number(found["value"], digits)
    return f"{number(found['value'], digits)} ({number(found['lower'], digits)} to {number(found['upper'], digits)})"

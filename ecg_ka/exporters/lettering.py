"""How wide a text is, and where its lines break: SVG itself does not wrap."""

from __future__ import annotations

import re
from itertools import accumulate

# Advance widths of Helvetica in 1/1000 em (Adobe Core 14 font metrics); Arial and Liberation Sans have the same.
_ADVANCES = {
    191: "'", 222: "ijl", 260: "|", 278: " !,./:;I[\\]ft\N{NO-BREAK SPACE}", 333: "()-`r", 334: "{}", 355: '"',
    389: "*", 469: "^", 500: "Jcksvxyz", 556: "#$0123456789?L_abdeghnopqu\N{EN DASH}", 584: "+<=>~", 611: "FTZ",
    667: "&ABEKPSVXY", 722: "CDHNRUw", 778: "GOQ", 833: "Mm", 889: "%", 944: "W",
}  # fmt: skip
_EM = {character: advance / 1000 for advance, characters in _ADVANCES.items() for character in characters}
_ANY_OTHER_EM = 1.0  # accents, other scripts, @: never more than this
_BOLD = 1.06  # within 4 %: letters grow more, capitals and digits less


def em(text: str, *, bold: bool = False) -> float:
    """The width of a text in em, in Helvetica and fonts of its widths; of bold text within 4 %."""
    return sum(_widths(text)) * (_BOLD if bold else 1.0)


def wrap(text: str, width_em: float, *, bold: bool = False) -> list[str]:
    """Lines no wider than ``width_em``, broken at white space but not at NO-BREAK SPACE, and inside a word only when it
    fills more than a line; at least one line."""
    width = width_em / (_BOLD if bold else 1.0)
    lines, line = [], ""
    for word in re.split("[ \t\n\r\f\v]+", text.strip(" \t\n\r\f\v")):
        longer = f"{line} {word}" if line else word
        if em(longer) <= width:
            line = longer
            continue
        *full, line = [line, *_pieces(word, width)] if line else _pieces(word, width)
        lines += full
    return [*lines, line]


def _pieces(word: str, width: float) -> list[str]:
    """A word in pieces that each fit, the first of them as long as they can be."""
    pieces, start, begun = [], 0, 0.0
    for at, end in enumerate(accumulate(_widths(word))):
        if end - begun > width and at > start:
            pieces.append(word[start:at])
            start, begun = at, end - _widths(word[at])[0]
    return [*pieces, word[start:]]


def _widths(text: str) -> list[float]:
    return [_EM.get(character, _ANY_OTHER_EM) for character in text]

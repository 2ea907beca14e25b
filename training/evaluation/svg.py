"""Matplotlib figures as SVG inside of a page, in the colours of the page: legible on light, on dark and on paper."""

from __future__ import annotations

import io
import re

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, SOFT, RULE = "#111213", "#5c5d5e", "#d1d2d3"
BLUE, RED, GREEN, PURPLE, ORANGE = "#1f5fa6", "#b3312d", "#1d7a52", "#71489e", "#b06010"

_VARIABLES = {
    INK: "--ink",
    SOFT: "--soft",
    RULE: "--rule",
    BLUE: "--blue",
    RED: "--red",
    GREEN: "--green",
    PURPLE: "--purple",
    ORANGE: "--orange",
}
"""Colours that figures are drawn in, each standing for one that the page decides."""

_STYLE = {
    "svg.fonttype": "none",  # text stays text: it can be searched and takes the font of the page
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


def style() -> mpl.RcParams:
    """Settings for ``rc_context`` around drawing and :func:`inline`."""
    return mpl.RcParams({**mpl.rcParamsDefault, **_STYLE})


def panels(n: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure (inches) with n panels side by side, with a light grid."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = [figure.add_subplot(1, n, i + 1) for i in range(n)]
    for ax in axes:
        ax.grid(visible=True)
    return figure, axes


def inline(figure: Figure, name: str, words: str) -> str:
    """The figure as an ``<svg>`` element with ``words`` for those who cannot see it.

    Identifiers get ``name`` in front: those of two figures in one page must differ.
    """
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(xlink:href="|url\()#', rf"\1#{name}-", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    text = re.sub(r'(<svg\b[^>]*?) height="[^"]*"([^>]*?) width="[^"]*"', r"\1\2", text, count=1)
    text = re.sub(r'(<svg\b[^>]*?) width="[^"]*"([^>]*?) height="[^"]*"', r"\1\2", text, count=1)
    return text.replace("<svg", f'<svg role="img" aria-label="{words}"', 1)

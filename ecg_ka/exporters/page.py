"""The 12-lead page that clinicians know, as SVG: 25 mm/s, 10 mm/mV, three rows of four leads and a rhythm strip."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecg_ka.explanation import Explanation
from ecg_ka.exporters.lettering import em, wrap
from ecg_ka.exporters.shading import LEGEND, stripes
from ecg_ka.flags import Flag
from ecg_ka.record import EcgRecord

RESEARCH_NOTICE = "RESEARCH USE ONLY \N{EN DASH} NOT A MEDICAL DEVICE"

MM_PER_S, MM_PER_MV = 25.0, 10.0
_ROWS = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"))
_RHYTHM_LEAD, _RHYTHM_S, _PANEL_S = "II", 10.0, 2.5

# All lengths below are in mm. The page is A4 landscape and grows downward when the text needs it.
_PAGE_W, _PAGE_H = 297.0, 210.0
_GRID_X, _GRID_W, _LEAST_GRID_H = 11.0, 275.0, 130.0
_TRACE_X = _GRID_X + 15.0  # the calibration pulse stands before it
_COLUMNS_X = tuple(_TRACE_X + column * _PANEL_S * MM_PER_S for column in range(4))
_FOOT_H = 13.0
_BAR_H = 7.0
_TEXT_END = _GRID_X + _GRID_W - 2.0

_MOST_POINTS = 50_000  # about 550 kB of coordinates
_DECIMATED_HZ = 250.0
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# Attributes, not a style sheet: they survive a content security policy and being placed inside another page.
_FONT = "font-family=\"Helvetica,Arial,'Liberation Sans','DejaVu Sans',sans-serif\""
_FINE = 'fill="none" stroke="#f0c4c4" stroke-width=".1"'
_COARSE = 'fill="none" stroke="#d98c8c" stroke-width=".22"'
_INK = 'fill="none" stroke="#000" stroke-width=".28" stroke-linejoin="round"'
_HALO = 'paint-order="stroke" stroke="#fff" stroke-width=".9"'
_ABSENT = 'fill="#fff" stroke="#000" stroke-width=".2" stroke-dasharray="1.5 1"'

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCaption:
    """What the page says about the estimate.

    ``title`` is drawn large (the number with its interval), ``lines`` in plain text below it, ``warnings`` (sentences
    of flags) in a framed block. All of them wrap. The research-use notice is always there and need not be passed; a
    second one appears when a warning holds the sentence of DEMO_MODEL.
    """

    title: str
    lines: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Panel:
    """One lead for a stretch of time at a place on the page, in mm."""

    lead: str
    start_s: float
    duration_s: float
    x: float
    y: float
    height: float

    @property
    def width(self) -> float:
        return self.duration_s * MM_PER_S

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def page_svg(record: EcgRecord, caption: PageCaption, explanation: Explanation | None = None) -> str:
    """One SVG document (text, no XML declaration), A4 landscape with ``viewBox`` in mm, for a record of any length;
    with an explanation the waves that move the estimate are shaded.

    The columns show consecutive stretches of 2.5 s and the strip the first 10 s of lead II; in shorter records later
    columns repeat the last 2.5 s. No filter is applied. Each trace is placed with its median, not 0 mV, in the middle
    of its panel and moved up or down as far as its peaks need; what still leaves the panel is cut off, with a note.
    """
    head, head_h = _head(record, caption)
    grid_h = max(_LEAST_GRID_H, (_PAGE_H - head_h - _FOOT_H) // 10 * 10)
    height = max(_PAGE_H, head_h + grid_h + _FOOT_H)
    grid_y = height - grid_h - _FOOT_H
    title = _clean(f"12-lead ECG. {caption.title}")
    description = _clean(f"{RESEARCH_NOTICE}. " + " ".join((*caption.warnings, *caption.lines)))
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_PAGE_W:g}mm" height="{height:g}mm" '
            f'viewBox="0 0 {_PAGE_W:g} {height:g}" {_FONT} role="img" '
            'aria-labelledby="page-title page-desc">',
            f'<title id="page-title">{title}</title>',
            f'<desc id="page-desc">{description}</desc>',
            f'<rect width="{_PAGE_W:g}" height="{height:g}" fill="#fff"/>',
            *head,
            *_grid(grid_y, grid_h),
            *_shades(explanation, _panels(record.duration_s, grid_y, grid_h / 4)),
            *_traces(record, grid_y, grid_h / 4),
            *_foot(record, grid_y + grid_h, "" if explanation is None else LEGEND),
            "</svg>",
        )
    )


def _clean(text: str) -> str:
    """Text that may stand in XML, whatever a file says; once lines are broken, any space may be an ordinary one."""
    plain = text.replace("\N{NO-BREAK SPACE}", " ")
    return html.escape(_NOT_XML.sub("\N{REPLACEMENT CHARACTER}", plain), quote=True)


def _text(x: float, y: float, size: float, text: str, attributes: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:g}px" {attributes}>{_clean(text)}</text>'


def _lines(x: float, y: float, size: float, text: str, *, step: float, bold: bool = False) -> tuple[list[str], float]:
    """Text from ``x`` to the end of the grid, its first line ``step`` below ``y``, and the y of its last line.

    Each line states its width, so that one in a wider font than those named is drawn closer and stays on the page.
    """
    width_em = (_TEXT_END - x) / size
    parts = []
    for line in wrap(text, width_em, bold=bold):
        y += step
        fit = f'textLength="{em(line, bold=bold) * size:.2f}" lengthAdjust="spacingAndGlyphs"' if line else ""
        parts.append(_text(x, y, size, line, f'{fit} font-weight="{"bold" if bold else "normal"}"'))
    return parts, y


def _head(record: EcgRecord, caption: PageCaption) -> tuple[list[str], float]:
    """The elements above the grid, and the y at which the grid may begin."""
    parts = [_bar(0.0, RESEARCH_NOTICE)]
    y = _BAR_H
    if any(Flag.DEMO_MODEL.sentence in warning for warning in caption.warnings):
        parts.append(_bar(y + 0.6, "DEMO MODEL \N{EN DASH} THE NUMBER SAYS NOTHING ABOUT THIS PATIENT"))
        y += _BAR_H + 0.6
    y += 2.0
    for text, size, bold in ((caption.title, 7.5, True), *((line, 3.6, False) for line in caption.lines)):
        lines, y = _lines(_GRID_X, y, size, text, step=size * 1.15, bold=bold)
        parts, y = [*parts, *lines], y + 0.8
    if caption.warnings:
        frame, y = _warnings(caption.warnings, y + 1.2)
        parts += frame
    known, y = _lines(_GRID_X, y, 3.2, _known(record), step=4.4)
    return [*parts, *known], y + 2.5


def _bar(y: float, text: str) -> str:
    return f'<rect x="0" y="{y:g}" width="{_PAGE_W:g}" height="{_BAR_H:g}" fill="#000"/>' + _text(
        _PAGE_W / 2, y + 5.1, 4.8, text, 'fill="#fff" font-weight="bold" text-anchor="middle" letter-spacing=".2"'
    )


def _warnings(warnings: tuple[str, ...], top: float) -> tuple[list[str], float]:
    """A framed block of sentences from ``top``, and the y of its lower edge."""
    y = top + 0.8
    parts: list[str] = []
    for warning in warnings:
        parts.append(_text(_GRID_X + 2.2, y + 4.2, 3.5, "!", 'font-weight="bold"'))
        lines, y = _lines(_GRID_X + 5.0, y, 3.5, warning, step=4.2, bold=True)
        parts += lines
    bottom = y + 2.0
    frame = (
        f'<rect x="{_GRID_X:g}" y="{top:g}" width="{_GRID_W:g}" height="{bottom - top:g}" fill="#fff" stroke="#000" '
        'stroke-width=".7"/>'
    )
    return [frame, *parts], bottom


def _known(record: EcgRecord) -> str:
    source = record.source
    when = f"{source.acquired_at:%Y-%m-%d %H:%M:%S}" if source.acquired_at else "not in the file"
    age = "not in the file" if source.age_years is None else f"{source.age_years:.0f} years"
    facts = (
        f"Acquired: {when}",
        f"Device: {source.device or 'not in the file'}",
        f"Age: {age}",
        f"File: {source.format}, {record.fs_hz:g} Hz, {record.duration_s:.1f} s, SHA-256 {source.sha256[:12]}",
    )
    return "   |   ".join(facts)


def _grid(top: float, height: float) -> list[str]:
    """Lines every 1 mm and, stronger, every 5 mm."""
    parts = []
    for line, step in ((_FINE, 1), (_COARSE, 5)):
        across = "".join(f"M{_GRID_X:g} {top + y:g}h{_GRID_W:g}" for y in range(0, int(height) + 1, step))
        down = "".join(f"M{_GRID_X + x:g} {top:g}v{height:g}" for x in range(0, int(_GRID_W) + 1, step))
        parts.append(f'<path {line} d="{across}{down}"/>')
    return parts


def _panels(duration_s: float, top: float, row_h: float) -> list[_Panel]:
    latest_s = max(0.0, duration_s - _PANEL_S)
    panels = [
        _Panel(lead, min(column * _PANEL_S, latest_s), _PANEL_S, x, top + row * row_h, row_h)
        for row, leads in enumerate(_ROWS)
        for column, (lead, x) in enumerate(zip(leads, _COLUMNS_X, strict=True))
    ]
    return [*panels, _Panel(_RHYTHM_LEAD, 0.0, _RHYTHM_S, _TRACE_X, top + 3 * row_h, row_h)]


def _shades(explanation: Explanation | None, panels: list[_Panel]) -> list[str]:
    if explanation is None:
        return []
    return [
        f'<rect x="{panel.x + (s.start_s - panel.start_s) * MM_PER_S:.2f}" y="{panel.y + 1:g}" '
        f'width="{(s.stop_s - s.start_s) * MM_PER_S:.2f}" height="{panel.height - 2:g}" fill="{s.colour}" '
        f'fill-opacity="{s.opacity:.2f}"/>'
        for panel in panels
        for s in stripes(explanation, panel.lead, panel.start_s, panel.start_s + panel.duration_s)
    ]


def _traces(record: EcgRecord, top: float, row_h: float) -> list[str]:
    panels = _panels(record.duration_s, top, row_h)
    decimate = sum(panel.duration_s for panel in panels) * record.fs_hz > _MOST_POINTS
    parts = [_calibration(top + (row + 0.5) * row_h) for row in range(4)]
    for number, panel in enumerate(panels):
        parts += _panel(record, panel, number, decimate) if panel.lead in record.leads else _absent(panel)
    return parts


def _calibration(middle: float) -> str:
    """A pulse of 1 mV and 0.2 s."""
    y = middle + MM_PER_MV / 2
    return f'<path {_INK} d="M{_GRID_X + 3:g} {y:g}h2v{-MM_PER_MV:g}h{0.2 * MM_PER_S:g}v{MM_PER_MV:g}h2"/>'


def _absent(panel: _Panel) -> list[str]:
    return [
        f'<rect {_ABSENT} x="{panel.x + 1:g}" y="{panel.y + 1.5:g}" width="{panel.width - 2:g}" '
        f'height="{panel.height - 3:g}"/>',
        _text(panel.x + 3.0, panel.middle + 1.2, 3.6, f"{panel.lead}: not in the file"),
    ]


def _panel(record: EcgRecord, panel: _Panel, number: int, decimate: bool) -> list[str]:
    first = round(panel.start_s * record.fs_hz)
    samples = record.lead(panel.lead)[first : first + round(panel.duration_s * record.fs_hz) + 1]
    time_s = np.arange(samples.size) / record.fs_hz
    if decimate:
        time_s, samples = _keep_extremes(time_s, samples, max(1, round(2 * record.fs_hz / _DECIMATED_HZ)))
    up_mm = samples.astype(np.float64) * MM_PER_MV
    base_mm, fits = _placement(up_mm, panel.height / 2)
    # Coordinates stop a little outside the panel: a trace of thousands of mV needs no more to leave it.
    y = np.clip(panel.middle + base_mm - up_mm, panel.y - 5, panel.y + panel.height + 5)
    points = " ".join(f"{a:.2f},{b:.2f}" for a, b in zip(panel.x + time_s * MM_PER_S, y, strict=True))
    clip = f"panel-{number}"
    return [
        f'<clipPath id="{clip}"><rect x="{panel.x:g}" y="{panel.y:g}" width="{panel.width:g}" '
        f'height="{panel.height:g}"/></clipPath>',
        f'<polyline {_INK} clip-path="url(#{clip})" points="{points}"/>',
        f'<path {_INK} d="M{panel.x:g} {panel.y + 3:g}v3"/>',
        _label(panel, derived=panel.lead in record.leads_derived, fits=fits),
    ]


def _label(panel: _Panel, *, derived: bool, fits: bool) -> str:
    side = (" (derived)" if derived else "") + ("" if fits else " (cut off at the panel)")
    return (
        f'<text {_HALO} x="{panel.x + 1.2:g}" y="{panel.y + 5.4:g}" font-size="3.6px" font-weight="bold">{panel.lead}'
        f'<tspan font-size="2.6px" font-weight="normal">{side}</tspan></text>'
    )


def _placement(up_mm: NDArray[np.float64], half_mm: float) -> tuple[float, bool]:
    """How far below the middle of the panel 0 mV lies (mm), and whether the whole trace fits.

    The median lies in the middle; when one side needs more room it gets what the other side can spare.
    """
    median = float(np.median(up_mm))
    above, below = float(up_mm.max()) - median, median - float(up_mm.min())
    down = min(max(0.0, above - half_mm), max(0.0, half_mm - below))
    up = min(max(0.0, below - half_mm), max(0.0, half_mm - above))
    return median + down - up, above + below <= 2 * half_mm


def _keep_extremes(time_s: NDArray[np.float64], samples: Samples, size: int) -> tuple[NDArray[np.float64], Samples]:
    """The lowest and the highest sample of every block, in order of time, so that no peak is lost."""
    starts = np.arange(0, samples.size, size)
    padded = np.concatenate((samples, np.repeat(samples[-1:], -samples.size % size))).reshape(starts.size, size)
    lowest, highest = starts + padded.argmin(axis=1), starts + padded.argmax(axis=1)
    kept = np.unique(np.minimum(np.concatenate((lowest, highest)), samples.size - 1))
    return time_s[kept], samples[kept]


def _foot(record: EcgRecord, top: float, legend: str) -> list[str]:
    is_part = record.duration_s > _RHYTHM_S + 0.05
    shown = "the first 10 s are shown" if is_part else f"{record.duration_s:.1f} s are shown"
    short = record.duration_s < _RHYTHM_S - 0.05
    columns = "later columns repeat the last 2.5 s" if short else "columns follow each other in time, 2.5 s each"
    scale = f"{MM_PER_S:g} mm/s | {MM_PER_MV:g} mm/mV | pulse 1 mV, 0.2 s | {shown}; {columns}"
    filters = "Filter: none applied here, those of the device are unknown."
    placed = "Every trace stands on its own median, moved where its peaks need it: no DC level can be read here."
    return [
        _text(_GRID_X, top + 4.4, 3.0, scale, 'font-weight="bold"'),
        _text(_GRID_X, top + 8.4, 3.0, f"{filters} {placed}"),
        *([_text(_GRID_X, top + 12.0, 3.0, legend)] if legend else []),
    ]

"""The 12-lead page as PDF: the drawing of the SVG page, element by element, to the same scale.

Operators and file structure: ISO 32000-1 (PDF 1.7). The fonts are two of the standard 14, which every reader has and
from whose widths the page was set; they hold Latin letters, and any other character is shown as a question mark.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ecg_ka.exporters.lettering import em

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_SVG = "{http://www.w3.org/2000/svg}"
_PT_PER_MM = 72 / 25.4
_PLAIN, _BOLD = "F1", "F2"
_NOT_DRAWN = ("title", "desc", "clipPath")
_STEP = re.compile(r"([Mhv])([-\d.e]+)(?: ([-\d.e]+))?")
_ENCODING = "cp1252"  # what PDF calls WinAnsiEncoding

Clips = Mapping[str, str]


def page_pdf(svg: str) -> bytes:
    """One PDF page from an SVG page of this package (other SVG is not understood): A4 landscape, and higher when the
    text needs it. The same page gives the same bytes."""
    from defusedxml.ElementTree import fromstring

    root = fromstring(svg)
    width, height = (float(side) * _PT_PER_MM for side in root.attrib["viewBox"].split()[2:])
    clips = {f"url(#{clip.attrib['id']})": _rectangle(clip[0]) for clip in root.iter(f"{_SVG}clipPath")}
    scale = f"{_PT_PER_MM:.6f} 0 0 {-_PT_PER_MM:.6f} 0 {height:.3f} cm"  # SVG counts y downwards
    drawn = "\n".join([scale, *(line for element in root for line in _drawn(element, clips))])
    title = root.findtext(f"{_SVG}title") or ""
    return _file(drawn.encode(_ENCODING, "replace"), width, height, title)


def _drawn(element: Element, clips: Clips) -> Iterator[str]:
    kind = element.tag.removeprefix(_SVG)
    if kind in _NOT_DRAWN:
        return
    attributes = element.attrib
    yield "q"
    if "clip-path" in attributes:
        yield f"{clips[attributes['clip-path']]} W n"
    match kind:
        case "rect":
            yield from (*_pen(attributes), _rectangle(element), _painted(attributes))
        case "path":
            yield from (*_pen(attributes), *_path(attributes["d"]), _painted(attributes))
        case "polyline":
            yield from (*_pen(attributes), *_polyline(attributes["points"]), _painted(attributes))
        case "text":
            yield from _text(element)
        case _:
            raise AssertionError(f"the page draws <{kind}>, which its PDF does not know")
    yield "Q"


def _pen(attributes: Mapping[str, str]) -> Iterator[str]:
    if _has(attributes, "fill", "#000"):
        yield f"{_rgb(attributes.get('fill', '#000'))} rg"
    if _has(attributes, "stroke", "none"):
        yield f"{_rgb(attributes['stroke'])} RG {float(attributes['stroke-width']):g} w"
    if attributes.get("stroke-linejoin") == "round":
        yield "1 j"
    if "stroke-dasharray" in attributes:
        yield f"[{attributes['stroke-dasharray']}] 0 d"


def _painted(attributes: Mapping[str, str]) -> str:
    match _has(attributes, "fill", "#000"), _has(attributes, "stroke", "none"):
        case True, True:
            return "B"
        case True, False:
            return "f"
    return "S"


def _has(attributes: Mapping[str, str], name: str, by_default: str) -> bool:
    return attributes.get(name, by_default) != "none"


def _rgb(colour: str) -> str:
    """``#d98c8c`` or ``#fff`` as three shares of 1."""
    digits = colour.removeprefix("#")
    pairs = [2 * digit for digit in digits] if len(digits) == 3 else [digits[i : i + 2] for i in (0, 2, 4)]
    return " ".join(f"{int(pair, 16) / 255:.3f}" for pair in pairs)


def _rectangle(element: Element) -> str:
    sides = (float(element.attrib.get(name, 0)) for name in ("x", "y", "width", "height"))
    return " ".join(f"{side:g}" for side in sides) + " re"


def _path(d: str) -> Iterator[str]:
    """Moves, and lines along one axis: all that the page has."""
    x = y = 0.0
    for command, first, second in _STEP.findall(d):
        match command:
            case "M":
                x, y = float(first), float(second)
            case "h":
                x += float(first)
            case "v":
                y += float(first)
        yield f"{x:.3f} {y:.3f} {'m' if command == 'M' else 'l'}"


def _polyline(points: str) -> Iterator[str]:
    for number, point in enumerate(points.split()):
        yield f"{point.replace(',', ' ')} {'l' if number else 'm'}"


def _text(element: Element) -> Iterator[str]:
    """The text of an element, then that of the span in it; a halo is drawn below it."""
    attributes = element.attrib
    x, y = float(attributes["x"]), float(attributes["y"])
    parts = [(element.text or "", attributes), *((span.text or "", span.attrib) for span in element)]
    if attributes.get("text-anchor") == "middle":
        x -= sum(_width(text, own) for text, own in parts) / 2
    if "stroke" in attributes:  # to readers that look for text, the halo is none
        halo = f"{_rgb(attributes['stroke'])} RG {attributes['stroke-width']} w 1 j 1 Tr"
        yield from ("/Artifact BMC", *_letters(parts, x, y, halo), "EMC")
    colour = f"{_rgb(attributes.get('fill', '#000'))} rg 0 Tr {float(attributes.get('letter-spacing', 0)):g} Tc"
    yield from _letters(parts, x, y, colour)


def _letters(parts: Sequence[tuple[str, Mapping[str, str]]], x: float, y: float, how: str) -> Iterator[str]:
    """Texts one behind the other from ``x``, upright although y counts downwards."""
    yield f"BT {how}"
    for text, own in parts:
        font = _BOLD if own.get("font-weight") == "bold" else _PLAIN
        yield f"/{font} {_size(own):g} Tf 1 0 0 -1 {x:.3f} {y:.3f} Tm {_string(text)} Tj"
        x += _width(text, own)
    yield "ET"


def _size(attributes: Mapping[str, str]) -> float:
    return float(attributes["font-size"].removesuffix("px"))


def _width(text: str, attributes: Mapping[str, str]) -> float:
    spaces = float(attributes.get("letter-spacing", 0)) * len(text)
    return em(text, bold=attributes.get("font-weight") == "bold") * _size(attributes) + spaces


def _string(text: str) -> str:
    return "(" + re.sub(r"([\\()])", r"\\\1", " ".join(text.splitlines())) + ")"


def _file(content: bytes, width: float, height: float, title: str) -> bytes:
    """The objects of a file with one page, and the table of where they are."""
    packed = zlib.compress(content)
    font = "<< /Type /Font /Subtype /Type1 /BaseFont /{} /Encoding /WinAnsiEncoding >>"
    resources = f"<< /Font << /{_PLAIN} 5 0 R /{_BOLD} 6 0 R >> >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /Lang (en) >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width:.3f} {height:.3f}] /Contents 4 0 R "
        f"/Resources {resources} >>".encode(),
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream" % (len(packed), packed),
        font.format("Helvetica").encode(),
        font.format("Helvetica-Bold").encode(),
        b"<< /Title <%b> /Producer (ecg-ka) >>" % (b"\xfe\xff" + title.encode("utf-16-be")).hex().encode(),
    ]
    file = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(file))
        file += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    size = len(objects) + 1
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R /Info 7 0 R >>\nstartxref\n{len(file)}\n%%EOF\n"
    return bytes(file) + f"xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}".encode()

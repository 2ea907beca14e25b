"""XML as the readers take it: parsed by defusedxml, within limits.

Encodings are those of expat: from the declaration or the byte order mark, UTF-16 included. A DOCTYPE may name a DTD (GE
MUSE writes one), which is never fetched; one that declares anything itself is refused, and so is every entity.
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from ecg_ka.errors import RecordTooLarge, TruncatedFile, UnreadableRecord
from ecg_ka.readers.limits import MAX_XML_BYTES, MAX_XML_DEPTH, MAX_XML_MARKS, check_bytes
from ecg_ka.readers.xml_node import Node

_SEARCHED_BYTES = 65_536
_ROOT = re.compile(
    rb"(?>\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*+(?:\[.*?\]\s*+)?>)*+<(?:[\w.-]++:)?([A-Za-z_][\w.-]*+)[\s/>]",
    re.DOTALL,
)
"""What may stand before the first element, and its name; nothing is tried twice, so that the time is linear."""

_ENDS_EARLY = {3, 5, 6, 20}  # expat: no element, unclosed token, partial character, unclosed CDATA section
_LONGEST_NAMESPACE = 256  # expat puts it in front of every name


def root_name(data: bytes) -> str | None:
    """The name of the first element, without its namespace; None where the beginning is not that of XML."""
    head = data[:_SEARCHED_BYTES].removeprefix(b"\xef\xbb\xbf")
    if b"\x00" in head[:4] and head[:4].strip(b"\x00\xff\xfe\t\n\r ")[:1] in (b"<", b""):
        head = head.removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff").replace(b"\x00", b"")  # UTF-16
    match = _ROOT.match(head)
    return match[1].decode("ascii", "replace") if match else None


def parse(data: bytes, what: str) -> Node:
    """The root element of a document of the format ``what``.

    Raises:
        RecordTooLarge: more bytes, elements, attributes or depth than the limits allow, all but the last seen before it
            is parsed.
        TruncatedFile: it ends within an element.
        UnreadableRecord: it declares entities or a DTD of its own, wherever they come from, or is no XML.
    """
    import defusedxml
    from defusedxml.ElementTree import DefusedXMLParser

    check_bytes(len(data), MAX_XML_BYTES, f"the {what}")
    for mark, things in ((b"<", "tags"), (b"=", "attributes")):
        if data.count(mark) > MAX_XML_MARKS:
            raise RecordTooLarge(f"{what}: more than {MAX_XML_MARKS} {things}; is it one ECG?")
    parser = DefusedXMLParser(target=_Builder(what))
    parser.parser.StartDoctypeDeclHandler = _refuse_declarations
    parser.parser.StartNamespaceDeclHandler = _refuse_long_namespaces
    try:
        parser.feed(data)
        return Node(parser.close(), what)
    except defusedxml.DefusedXmlException:
        raise UnreadableRecord(f"{what}: it declares entities or a DTD of its own; expected plain elements") from None
    except ParseError as error:
        kind = TruncatedFile if error.code in _ENDS_EARLY else UnreadableRecord
        raise kind(f"{what}: {str(error)[:120]}; expected the whole file, as exported") from None
    except (LookupError, ValueError, Warning) as error:  # an encoding of many bytes, or of no known name
        raise UnreadableRecord(f"{what}: its encoding is not read ({str(error)[:80]!r}); expected UTF-8") from None


class _Builder(TreeBuilder):
    """Elements without namespaces, not deeper than the limit."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what
        self._depth = 0

    def start(self, tag: str, attrs: dict[str, str]) -> Element:
        self._depth += 1
        if self._depth > MAX_XML_DEPTH:
            raise RecordTooLarge(f"{self._what}: elements stand more than {MAX_XML_DEPTH} deep; no ECG does that")
        return super().start(_local(tag), {_local(name): value for name, value in attrs.items()})

    def end(self, tag: str) -> Element:
        self._depth -= 1
        return super().end(_local(tag))


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _refuse_declarations(_name: str, _system: str | None, _public: str | None, declares: bool) -> None:
    if declares:
        import defusedxml

        raise defusedxml.DTDForbidden(_name, _system, _public)


def _refuse_long_namespaces(_prefix: str | None, uri: str | None) -> None:
    if len(uri or "") > _LONGEST_NAMESPACE:
        raise RecordTooLarge(f"an XML namespace of {len(uri or '')} characters; no ECG has one")

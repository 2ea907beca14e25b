"""Elements of an XML document, asked for their fields by path; the messages say where they stand."""

from __future__ import annotations

import base64
import binascii
import math
import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import MalformedHeader, NoSamples, UnreadableRecord

_WHOLE_NUMBERS = re.compile(r"\s*+(?:[+-]?[0-9]{1,9}+(?:\s*+,\s*+|\s++|\Z))++", re.ASCII)
_LONGEST_WORD = 256


@dataclass(frozen=True, slots=True)
class Node:
    """An element and where it stands, for messages (``"GE MUSE XML, lead II"``).

    Paths are those of ElementTree, without namespaces; ``path/@name`` is an attribute. A field that stands there twice
    with different contents is refused: nothing says which of them counts.
    """

    element: Element
    place: str

    def nodes(self, path: str) -> list[Node]:
        """The elements at ``path``, none or more."""
        return [Node(found, self.place) for found in self.element.findall(path)]

    def node(self, path: str) -> Node:
        """The one element at ``path``.

        Raises:
            MalformedHeader: there is none, or more than one.
        """
        found = self.nodes(path)
        if len(found) != 1:
            raise MalformedHeader(f"{self.place}: {len(found)} elements {path}; expected one. Export it again.")
        return found[0]

    def word(self, path: str) -> str:
        """The text at ``path`` in one line; empty where there is none.

        Raises:
            MalformedHeader: it is long, or there are several.
        """
        before, mark, attribute = path.rpartition("@")
        found = self.element.findall((before.rstrip("/") or ".") if mark else path)
        texts = {(element.get(attribute) if mark else element.text) or "" for element in found}
        if any(len(text) > _LONGEST_WORD for text in texts):
            raise MalformedHeader(f"{self.place}: {path} has more than {_LONGEST_WORD} characters; expected a value")
        words = {" ".join(text.split()) for text in texts}
        if len(words) > 1:
            raise MalformedHeader(f"{self.place}: {path} is stated twice, differently; expected one value")
        return words.pop() if words else ""

    def number(self, path: str) -> float:
        """The finite number at ``path``.

        Raises:
            MalformedHeader: there is none.
        """
        word = self.word(path)
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise MalformedHeader(f"{self.place}: {path} is {word!r}; expected a number. Export it again.")
        return value

    def count(self, path: str) -> int | None:
        """The whole number from 0 at ``path``, or None where nothing is stated.

        Raises:
            MalformedHeader: something else is.
        """
        word = self.word(path)
        if word and not (word.isascii() and word.isdecimal()):
            raise MalformedHeader(f"{self.place}: {path} is {word!r}; expected a whole number. Export it again.")
        return int(word) if word else None

    def numbers(self) -> NDArray[np.int64]:
        """The whole numbers (n,) of the text, between spaces or commas.

        Raises:
            NoSamples: it is empty.
            UnreadableRecord: it holds something else.
        """
        text = self._samples_text()
        if not _WHOLE_NUMBERS.fullmatch(text):
            raise UnreadableRecord(f"{self.place}: something among the samples is not a whole number. Export it again.")
        numbers: NDArray[np.int64] = np.fromstring(text.replace(",", " "), dtype=np.int64, sep=" ")
        return numbers

    def packed(self) -> bytes:
        """The bytes of a text in base64.

        Raises:
            NoSamples: it is empty.
            UnreadableRecord: it is no base64.
        """
        try:
            return base64.b64decode("".join(self._samples_text().split()), validate=True)
        except (binascii.Error, ValueError):
            raise UnreadableRecord(f"{self.place}: the samples are not in base64. Export it again.") from None

    def packed_samples(self) -> NDArray[np.int16]:
        """The samples (n,) of a text in base64, two bytes each, the low one first.

        Raises:
            NoSamples, UnreadableRecord: as :meth:`packed`, or an odd number of bytes.
        """
        data = self.packed()
        if len(data) % 2:
            raise UnreadableRecord(f"{self.place}: {len(data)} bytes; expected two a sample. Export it again.")
        return np.frombuffer(data, dtype="<i2")

    def _samples_text(self) -> str:
        text = self.element.text or ""
        if not text.strip():
            raise NoSamples(f"{self.place}: no samples; expected at least 5 s of ECG. Check the export.")
        return text

    def at(self, place: str) -> Node:
        """The same element, whose messages name ``place`` too."""
        return Node(self.element, f"{self.place}, {place[:80]}")

"""XML written to harm: refused before it is parsed or while it is, in bounded time and memory."""

from __future__ import annotations

import socket
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_ka import errors
from ecg_ka.readers import read
from ecg_ka.readers.xli import decode
from ecg_ka.readers.xml_document import parse, root_name
from tests.ecg_ka.writers import counts_uv
from tests.ecg_ka.xml_writers import (
    limb_leads,
    lzw,
    muse,
    muse_waveform,
    utf_16,
    xli_chunk,
)

EIGHT = counts_uv(40, n_leads=8)
TWELVE = limb_leads(EIGHT)
START = b'<?xml version="1.0" encoding="UTF-8"?>'
BOMB = b"".join(b'<!ENTITY x%d "%s">' % (n, b"&x%d;" % (n - 1) * 10) for n in range(1, 12))

HOSTILE: dict[str, tuple[Callable[[], bytes], type[errors.EcgError]]] = {
    "entity bomb": (
        lambda: START + b'<!DOCTYPE RestingECG [<!ENTITY x0 "lol">' + BOMB + b"]><RestingECG>&x11;</RestingECG>",
        errors.UnreadableRecord,
    ),
    "quadratic blow-up": (
        lambda: START + b'<!DOCTYPE RestingECG [<!ENTITY x "' + b"x" * 50_000 + b'">]><RestingECG>' + b"&x;" * 150_000,
        errors.UnreadableRecord,
    ),
    "external entity": (
        lambda: START + b'<!DOCTYPE RestingECG [<!ENTITY x SYSTEM "file:///etc/passwd">]><RestingECG>&x;</RestingECG>',
        errors.UnreadableRecord,
    ),
    "external parameter": (
        lambda: START + b'<!DOCTYPE RestingECG [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x"> %x;]><RestingECG/>',
        errors.UnreadableRecord,
    ),
    "attributes by default": (
        lambda: START + b'<!DOCTYPE RestingECG [<!ATTLIST a b CDATA "' + b"x" * 50_000 + b'">]><RestingECG><a/>',
        errors.UnreadableRecord,
    ),
    "unknown entity": (
        lambda: b'<!DOCTYPE RestingECG SYSTEM "http://127.0.0.1:9/x"><RestingECG>&x;</RestingECG>',
        errors.UnreadableRecord,
    ),
    "deep nesting": (lambda: b"<RestingECG>" + b"<a>" * 90_000 + b"</a>" * 90_000, errors.RecordTooLarge),
    "many elements": (lambda: b"<RestingECG>" + b"<a/>" * 200_000 + b"</RestingECG>", errors.RecordTooLarge),
    "many attributes": (
        lambda: b"<RestingECG " + b" ".join(b'a%d=""' % n for n in range(200_001)) + b"/>",
        errors.RecordTooLarge,
    ),
    "long namespace": (
        lambda: b'<x:RestingECG xmlns:x="' + b"u" * 10**6 + b'">' + b"".join(b"<x:a%d/>" % n for n in range(9999)),
        errors.RecordTooLarge,
    ),
    "too many bytes": (lambda: b"<RestingECG>" + b" " * 8_000_000 + b"</RestingECG>", errors.RecordTooLarge),
    "cut off": (lambda: muse(muse_waveform(EIGHT))[:-20], errors.TruncatedFile),
    "cut off in UTF-16": (lambda: utf_16(muse(muse_waveform(EIGHT)))[:-21], errors.TruncatedFile),
    "lying encoding": (lambda: b'<?xml version="1.0" encoding="UTF-16"?><RestingECG/>', errors.UnreadableRecord),
    "unknown encoding": (lambda: b'<?xml version="1.0" encoding="klingon"?><RestingECG/>', errors.UnreadableRecord),
    "encoding of many bytes": (lambda: b'<?xml version="1.0" encoding="gbk"?><RestingECG/>', errors.UnreadableRecord),
    "encoding that is none": (lambda: b'<?xml version="1.0" encoding="zip"?><RestingECG/>', errors.UnreadableRecord),
    "escapes": (
        lambda: b'<?xml version="1.0" encoding="unicode_escape"?><RestingECG/>',
        errors.UnreadableRecord,
    ),
    "many leads": (
        lambda: (
            b"<AnnotatedECG><component><series><code code='RHYTHM'/><component><sequenceSet>"
            + b"<component><sequence/></component>" * 8_000
            + b"</sequenceSet></component></series></component></AnnotatedECG>"
        ),
        errors.InvalidSamplingRate,
    ),
    "many strips": (
        lambda: (
            b"<CardiologyXML><StripData><SampleRate units='Hz'>500</SampleRate>"
            + b"<WaveformData lead='I'>1</WaveformData>" * 8_000
            + b"</StripData></CardiologyXML>"
        ),
        errors.RecordTooLarge,
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_xml_is_refused_in_bounded_time_and_memory(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise AssertionError("something outside was opened")

    make, error = HOSTILE[name]
    data = make()
    with pytest.raises(errors.EcgError):
        read(b"<AnnotatedECG/>")  # what is imported late is imported now
    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    tracemalloc.start()
    started = time.process_time()
    try:
        with pytest.raises(errors.EcgError) as caught:
            read(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.type is error, caught.value
    assert len(str(caught.value)) < 400
    assert peak < 200_000_000
    assert time.process_time() - started < 5


def test_an_external_dtd_is_named_and_never_fetched() -> None:
    assert b"restecg.dtd" in muse()
    assert root_name(muse()) == "RestingECG"
    assert parse(muse(), "XML").word("MuseInfo/MuseVersion") == "9.0"


@pytest.mark.parametrize(
    "head", [b"<!--" * 16_000, b"<?" * 30_000, b" " * 65_000, b"<!DOCTYPE [" * 6_000, b"<!--a-->" * 8_000]
)
def test_a_beginning_without_an_element_takes_no_long_time(head: bytes) -> None:
    started = time.process_time()
    assert root_name(head) is None
    assert time.process_time() - started < 0.5


def test_the_first_element_is_found_behind_what_may_stand_before_it() -> None:
    before = b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- <no> --><!DOCTYPE a [<!ENTITY b "c">]>\n'
    assert root_name(before + b"<ns:RestingECG>") == "RestingECG"
    assert root_name(("\ufeff<?xml version='1.0'?><CardiologyXML/>").encode("utf-16-be")) == "CardiologyXML"
    assert root_name(b"I,II,III\n<RestingECG>") is None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.integers(-3000, 3000), min_size=4, max_size=300), st.integers(0, 3))
def test_xli_gives_back_what_was_packed(samples: list[int], n_more: int) -> None:
    smooth = np.cumsum(np.clip(samples, -90, 90))  # second differences fit in 16 bits, as those of an ECG do
    data = xli_chunk(smooth) * (1 + n_more)
    np.testing.assert_array_equal(decode(data, 1 + n_more, smooth.size, "x"), np.tile(smooth, (1 + n_more, 1)))


def test_xli_unpacks_no_more_than_was_asked_for() -> None:
    bomb = lzw(bytes(500_000))
    data = len(bomb).to_bytes(4, "little") + bytes(4) + bomb
    tracemalloc.start()
    with pytest.raises(errors.UnreadableRecord, match="expected 200"):
        decode(data, 1, 100, "x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000
    with pytest.raises(errors.UnreadableRecord, match="before it has a meaning"):
        decode(b"\x05\0\0\0\0\0\0\0" + b"\xfe" * 5, 1, 100, "x")
    with pytest.raises(errors.TruncatedFile):
        decode(b"\xff\xff\xff\xff\0\0\0\0", 1, 100, "x")

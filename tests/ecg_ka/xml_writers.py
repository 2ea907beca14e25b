"""Small valid XML files as the carts write them, made without the readers under test; any part can be replaced."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tests.ecg_ka.writers import LEADS

STORED_LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
"""The leads of :func:`stored`, which MUSE writes; the other four follow from them."""

Counts = NDArray[np.integer]


def limb_leads(counts: Counts) -> Counts:
    """All 12 leads (12, n) of I, II, V1-V6 (8, n), rounded as a cart does."""
    i, ii = counts[:2].astype(np.int64)
    iii = ii - i
    return np.stack([i, ii, iii, -(i + ii) // 2, (i - iii) // 2, (ii + iii) // 2, *counts[2:]])


def edited(data: bytes, edits: Mapping[str, str]) -> bytes:
    """Every occurrence of some texts replaced by others; each has to be there."""
    text = data.decode()
    for old, new in edits.items():
        assert old in text, old
        text = text.replace(old, new)
    return text.encode()


def utf_16(data: bytes) -> bytes:
    """The same document in UTF-16 with a byte order mark."""
    text = data.decode()
    return (text[: text.index("?>")].replace("UTF-8", "utf-16") + text[text.index("?>") :]).encode("utf-16")


def _base64(samples: Counts) -> str:
    return base64.encodebytes(samples.astype("<i2").tobytes()).decode()


def muse_waveform(counts: Counts, leads: Sequence[str] = STORED_LEADS, kind: str = "Rhythm") -> str:
    data = "".join(
        f"""<LeadData><LeadByteCountTotal>{2 * row.size}</LeadByteCountTotal><LeadTimeOffset>0</LeadTimeOffset>
        <LeadSampleCountTotal>{row.size}</LeadSampleCountTotal>
        <LeadAmplitudeUnitsPerBit>4.88</LeadAmplitudeUnitsPerBit><LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits>
        <LeadID>{lead}</LeadID><FirstSampleBaseline>0</FirstSampleBaseline><LeadSampleSize>2</LeadSampleSize>
        <LeadOff>FALSE</LeadOff><LeadDataCRC32>{zlib.crc32(row.astype("<i2").tobytes())}</LeadDataCRC32>
        <WaveFormData>{_base64(row)}</WaveFormData></LeadData>"""
        for lead, row in zip(leads, counts, strict=False)
    )
    return f"""<Waveform><WaveformType>{kind}</WaveformType><NumberofLeads>{len(counts)}</NumberofLeads>
    <SampleType>CONTINUOUS_SAMPLES</SampleType><SampleBase>500</SampleBase><SampleExponent>0</SampleExponent>
    {data}</Waveform>"""


def muse(*waveforms: str) -> bytes:
    return f"""<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE RestingECG SYSTEM "restecg.dtd"><RestingECG>
    <MuseInfo><MuseVersion>9.0</MuseVersion></MuseInfo>
    <PatientDemographics><PatientID>SECRET-4711</PatientID><PatientAge>67</PatientAge><AgeUnits>YEARS</AgeUnits>
    <PatientLastName>Muster</PatientLastName></PatientDemographics>
    <TestDemographics><AcquisitionDevice>MAC55</AcquisitionDevice><AcquisitionTime>14:05:06</AcquisitionTime>
    <AcquisitionDate>03-31-2019</AcquisitionDate></TestDemographics>{"".join(waveforms)}</RestingECG>""".encode()


def _rows(tag: str, attribute: str, counts: Counts) -> str:
    return "".join(
        f'<{tag} {attribute}="{lead}">\t{",".join(map(str, row))}</{tag}>'
        for lead, row in zip(LEADS, counts.tolist(), strict=True)
    )


def cardiosoft(counts: Counts, *, full_disclosure: bool = False) -> bytes:
    """The leads (12, n) as a strip, beside median beats, or as a full disclosure in blocks of one second."""
    n = counts.shape[1]
    form = """<SampleRate units="Hz">500</SampleRate><Resolution units="uVperLsb">5</Resolution>"""
    if full_disclosure:
        blocks = counts.reshape(12, -1, 500).swapaxes(0, 1).reshape(-1)
        body = f"""<FullDisclosure><NumberOfChannels>12</NumberOfChannels>{form}<LeadOrder>{",".join(LEADS)}</LeadOrder>
        <FullDisclosureData>{",".join(map(str, blocks.tolist()))},
        <SampleCountTotal>{12 * n}</SampleCountTotal></FullDisclosureData></FullDisclosure>"""
    else:
        body = f"""<StripData><NumberOfLeads>12</NumberOfLeads>{form}
        <ChannelSampleCountTotal>{n}</ChannelSampleCountTotal>
        {_rows("WaveformData", "lead", counts)}</StripData>"""
    moment = dict(zip(("Hour", "Minute", "Second", "Day", "Month", "Year"), (14, 5, 6, 31, 3, 2019), strict=True))
    return f"""<?xml version="1.0" encoding="UTF-8" ?><CardiologyXML>
    <ObservationDateTime>{"".join(f"<{k}>{v}</{k}>" for k, v in moment.items())}</ObservationDateTime>
    <ClinicalInfo><DeviceInfo><Desc>CardioSoft</Desc><SoftwareVer>V6.73</SoftwareVer></DeviceInfo></ClinicalInfo>
    <PatientInfo><PID>SECRET-4711</PID><Name><FamilyName>Muster</FamilyName></Name><Age units="YEARS">67</Age>
    </PatientInfo><RestingECGMeasurements><MedianSamples>{form}{_rows("WaveformData", "lead", counts[:, :600] * 0)}
    </MedianSamples></RestingECGMeasurements>{body}</CardiologyXML>""".encode()


def philips(
    counts: Counts, *, compressed: bool = True, version: str = "1.04", pulse: int = 200, tail: bool = True
) -> bytes:
    """The leads (12, n) and behind them, with a ``tail``, 50 samples of nothing, 100 of ``pulse`` and 50 of nothing."""
    end = np.zeros((12, 200 * tail), np.int64)
    end[:, 50:150] = pulse
    rows = np.concatenate([counts, end], axis=1)
    payload = base64.encodebytes(xli(rows)).decode() if compressed else _base64(rows)
    old = version == "1.03"
    labels = "" if old else f'numberofleads="12" leadlabels="{" ".join(LEADS)}" samplespersecond="500" resolution="5"'
    method = (
        f'compressflag="{compressed}" compressmethod="XLI"'
        if old
        else f'compression="{"XLI" if compressed else "Uncompressed"}"'
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?><restingecgdata xmlns="http://www3.medical.philips.com">
    <documentinfo><documenttype>PhilipsECG</documenttype><documentversion>{version}</documentversion></documentinfo>
    <dataacquisition date="2019-03-31" time="14:05:06"><machine machineid="M1">PageWriter</machine>
    <signalcharacteristics><samplingrate>500</samplingrate>
    <{"signal" * old}resolution>5</{"signal" * old}resolution><acquisitiontype>STD-12</acquisitiontype>
    <bitspersample>16</bitspersample><signaloffset>0</signaloffset><signalsigned>True</signalsigned>
    </signalcharacteristics></dataacquisition>
    <patient><generalpatientdata><patientid>SECRET-4711</patientid><name><lastname>Muster</lastname></name>
    <age><dateofbirth>1951-12-24</dateofbirth></age></generalpatientdata></patient>
    <waveforms><parsedwaveforms dataencoding="Base64" {method} {labels} durationperchannel="{2 * rows.shape[1]}"
    >{payload}</parsedwaveforms></waveforms></restingecgdata>""".encode()


def xli(rows: Counts) -> bytes:
    """The leads (12, n) as XLI: limb leads as differences to what I and II predict, second differences, LZW."""
    i, ii, iii, avr, avl, avf = rows[:6].astype(np.int64)
    limb = [i, ii, ii - i - iii, -avr - (i + ii) // 2, (i - iii) // 2 - avl, (ii + iii) // 2 - avf]
    return b"".join(xli_chunk(row) for row in [*limb, *rows[6:].astype(np.int64)])


def xli_chunk(samples: Counts) -> bytes:
    bends = np.diff(samples, 2)
    values = np.concatenate([samples[:2], 64 - bends[1:], [64]]).astype(">i2")
    bytes_ = values.view(np.uint8).reshape(-1, 2).T.tobytes()  # the high ones, then the low ones
    packed = lzw(bytes_)
    return len(packed).to_bytes(4, "little") + b"\1\0" + int(-bends[0]).to_bytes(2, "little", signed=True) + packed


def lzw(data: bytes) -> bytes:
    """LZW in codes of 10 bits with the end mark 1023; the table holds codes up to 1022."""
    table = {bytes([value]): value for value in range(256)}
    codes, word = [], b""
    for byte in data:
        longer = word + bytes([byte])
        if longer in table:
            word = longer
            continue
        codes.append(table[word])
        if len(table) < 1023:
            table[longer] = len(table)
        word = bytes([byte])
    bits = "".join(f"{code:010b}" for code in [*codes, table[word], 1023])
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def aecg_series(counts: Counts, leads: Sequence[str] = LEADS, code: str = "RHYTHM", more: str = "") -> str:
    return f"""<component><series><code code="{code}"/><effectiveTime><low value="20190331140506.000+0200"/>
    </effectiveTime><author><seriesAuthor><manufacturedSeriesDevice><manufacturerModelName>ELI250
    </manufacturerModelName></manufacturedSeriesDevice></seriesAuthor></author>
    <component>{aecg_set(counts, leads)}</component>{more}</series></component>"""


def aecg_set(counts: Counts, leads: Sequence[str] = LEADS) -> str:
    sequences = "".join(
        f"""<component><sequence><code code="MDC_ECG_LEAD_{lead.upper()}" codeSystem="2.16.840.1.113883.6.24"/>
        <value xsi:type="SLIST_PQ"><origin value="0" unit="uV"/><scale value="2.5" unit="uV"/>
        <digits>{" ".join(map(str, row))}</digits></value></sequence></component>"""
        for lead, row in zip(leads, counts.tolist(), strict=False)
    )
    return f"""<sequenceSet><component><sequence><code code="TIME_ABSOLUTE"/><value xsi:type="GLIST_TS">
    <head value="20190331140506"/><increment value="0.002" unit="s"/></value></sequence></component>
    {sequences}</sequenceSet>"""


def aecg(*series: str) -> bytes:
    return f"""<?xml version="1.0" encoding="UTF-8"?><AnnotatedECG xmlns="urn:hl7-org:v3"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><id root="SECRET-4711"/>
    <componentOf><timepointEvent><componentOf><subjectAssignment><subject><trialSubject><id extension="SECRET-4711"/>
    <subjectDemographicPerson><name>Muster</name><birthTime value="19511224"/></subjectDemographicPerson>
    </trialSubject></subject></subjectAssignment></componentOf></timepointEvent></componentOf>
    {"".join(series)}</AnnotatedECG>""".encode()

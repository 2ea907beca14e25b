"""A record as WFDB: header(5) and a signal file of format 16 (WFDB Applications Guide, MIT-LCP)."""

from __future__ import annotations

from ecg_ka.exporters.steps import in_steps, steps_per_mv
from ecg_ka.record import EcgRecord


def record_wfdb(record: EcgRecord, name: str) -> dict[str, bytes]:
    """``name.hea`` and ``name.dat``, with checksums; age, origin, derived leads and notes stand in comments."""
    counts = in_steps(record)  # (L, n)
    moment = record.source.acquired_at
    when = "" if moment is None else f" {moment:%H:%M:%S %d/%m/%Y}"
    lines = [f"{name} {len(counts)} {record.fs_hz!r} {counts.shape[1]}{when}"]
    for lead, row in zip(record.leads, counts, strict=True):
        checksum = (int(row.sum(dtype=int)) + 2**15) % 2**16 - 2**15
        lines.append(f"{name}.dat 16 {steps_per_mv(record)}/mV 16 0 {row[0]} {checksum} 0 {lead}")
    if record.source.age_years is not None:
        lines.append(f"#Age: {record.source.age_years:.12g}")
    lines.append(f"# converted from {record.source.format}, SHA-256 {record.source.sha256}")
    if record.leads_derived:
        lines.append(f"# computed from I and II: {', '.join(record.leads_derived)}")
    lines += [f"# note: {' '.join(note.split())}" for note in record.source.notes]
    return {f"{name}.hea": ("\n".join(lines) + "\n").encode(), f"{name}.dat": counts.T.tobytes()}

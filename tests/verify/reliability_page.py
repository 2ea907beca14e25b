"""docs/reliability.md from what was measured; every number in it comes from there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import date

from tests.verify import load
from tests.verify.faults import Finding
from tests.verify.load import Memory, Overload, Throughput

Loads = Sequence[tuple[str, Throughput, Throughput]]

_HEAD = """# Reliability of the service

Research use only, not a medical device. Written by `python -m tests.verify.reliability` on {day}; short forms of all of
it are tests in `tests/verify`.

## Load

{n_clients} clients on loopback, each with one kept connection and the next file as soon as it has an answer;
the server on one core, clients (and PostgreSQL, with fsync) on the other. Beside it, in turns on the server's
core, one process that calls `read` and `Estimator.estimate` for the same files. The machine has two cores,
and others used it meanwhile.

`share`: processor time of an estimate in the library, of that of a request in the server; what a core that
has nothing else to do gives is in that ratio. `by the clock`: the same by elapsed time; where others want the
core too it is too high, for the system gives a server of several threads more of it than a library of one.
Medians over the turns; percentiles over all requests, with {n_clients} waiting at a time. Goal: share 0.7
(0.5 once an estimate costs under 3 ms).
"""

_FAULTS = """## Faults

Each is done to an API and a worker while {n_clients} clients ask for estimates and a batch is under way. The
clients send an `Idempotency-Key` and, when refused or cut off, the same again every 0.1 s (sooner than
`Retry-After` says, to see when it is over). Counted afterwards in the database: answers that a client or a
batch had and the database has not (lost), requests that it has more than once (twice), and whether the audit
trail is whole with one entry an estimate. A refusal is clear when it is a 503 problem document with
`Retry-After`. Killed processes are started again at once, as a container engine does; a database or disk
comes back after 2 s. Recovery: from the kill, or from the moment the database or the room is back, to the
next answer (worker: until another holds the ECG that it held, lease {lease_s} s).
"""

_FULL = """A full disk under SQLite or the database refuses estimates rather than giving one that leaves no
trail; one under the spool refuses batches alone. What was committed before a kill is kept: SQLite writes
ahead and PostgreSQL was killed with all its children left to notice. A power cut is not measured;
docs/security.md says what it may take. A database that neither
answers nor closes its connections (a stopped machine) was not tried: nothing in the service ends such a wait.
"""


def page(day: date, loads: Loads, memory: Memory, overload: Overload, findings: Iterable[Finding]) -> str:
    """The whole document."""
    return "\n".join(
        [
            _HEAD.format(day=day, n_clients=load.N_CLIENTS),
            *_table(_LOAD_COLUMNS, [_load_row(storage, *one) for storage, *both in loads for one in _named(both)]),
            "",
            _memory(memory),
            _overload(overload),
            _FAULTS.format(n_clients=4, lease_s=2),
            *_table(_FAULT_COLUMNS, [_fault_row(finding) for finding in findings]),
            "",
            _FULL,
        ]
    )


_LOAD_COLUMNS = (
    "storage",
    "files",
    "requests",
    "errors",
    "library, ms",
    "server, ms",
    "share",
    "by the clock",
    "p50 / p95 / p99, ms",
)
_FAULT_COLUMNS = (
    "fault",
    "storage",
    "answers until recovery",
    "refusals clear",
    "slowest refusal, s",
    "acknowledged",
    "lost",
    "twice",
    "trail whole",
    "recovery, s",
)


def _named(both: Sequence[Throughput]) -> list[tuple[str, Throughput]]:
    return list(zip(("every format", "WFDB"), both, strict=True))


def _load_row(storage: str, files: str, found: Throughput) -> list[str]:
    return [
        storage,
        files,
        str(found.n_requests),
        str(found.n_errors),
        f"{found.library_ms:.1f}",
        f"{found.service_ms:.1f}",
        f"{found.processor_share:.2f}",
        f"{found.share:.2f}",
        " / ".join(f"{value:.0f}" for value in found.quantiles_ms),
    ]


def _memory(found: Memory) -> str:
    return f"""## Memory

{found.n_requests} requests (WFDB, SQLite), {found.n_errors} errors. After the first fifth the server held
{found.first_mb:.0f} MB, at the end {found.last_mb:.0f} MB; a line through 80 looks at it rises
{found.mb_per_1000:+.3f} MB in 1000 requests.
"""


def _overload(found: Overload) -> str:
    statuses = ", ".join(f"{status}: {n}" for status, n in sorted(found.statuses.items()))
    p50, p95, p99 = found.refused_ms
    after = "no error" if found.n_errors_after == 0 else f"{found.n_errors_after} errors"
    first = "none" if math.isnan(found.first_after_ms) else f"{found.first_after_ms:.0f} ms"
    told = "Every refusal" if found.is_told_when else "NOT every refusal"
    return f"""## Overload

With the default limits {load.N_CLIENTS} clients got {found.alone_per_s:.0f} answers a second; then
{10 * load.N_CLIENTS} clients sent ten times as many requests, as far as their core let them:
{found.offered_per_s:.0f} a second were answered, {found.meanwhile_per_s:.0f} of them with an estimate
({statuses}). {told} is a problem document with `Retry-After`. Refusals took p50 {p50:.0f}, p95 {p95:.0f}, p99
{p99:.0f} ms. Right afterwards {load.N_CLIENTS} clients had {after}; the quickest answer took {first}.

A body waits for its estimate once it is whole, so slow senders hold no place where estimates are made; whom
no place can be promised is refused before the body is read.
"""


def _fault_row(found: Finding) -> list[str]:
    seen = ", ".join(f"{name}: {n}" for name, n in sorted(found.seen.items()))
    slowest = f"{found.slowest_refusal_s:.2f}" if found.slowest_refusal_s else "none"
    return [
        found.fault,
        found.storage,
        seen or "none",
        _word(found.is_clear),
        slowest,
        str(found.n_acknowledged),
        str(found.n_lost),
        str(found.n_twice),
        _word(found.trail_is_whole),
        f"{found.recovery_s:.1f}",
    ]


def _word(holds: bool) -> str:
    return "yes" if holds else "NO"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [columns, ["---"] * len(columns), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]

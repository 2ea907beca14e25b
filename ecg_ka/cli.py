"""The `ecg-ka` command."""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ecg_ka.bundle import SHIPPED, load_bundle
from ecg_ka.errors import EcgError
from ecg_ka.estimate import DISCLAIMER, Estimate, PatientOffset, refusal_dict
from ecg_ka.estimator import Estimator
from ecg_ka.exporters import (
    Answered,
    Identity,
    Output,
    Patient,
    Target,
    converted,
    estimate_page,
    estimates_text,
    explanation_text,
    exported,
    formats_text,
    how_to_read,
    model_text,
    quality_text,
    record_csv,
)
from ecg_ka.history import read_history
from ecg_ka.quality import assess, full_report
from ecg_ka.readers import read, wfdb_header
from ecg_ka.wave_effects import explain as explain_record

app = typer.Typer(
    help=f"Serum potassium estimated from 12-lead ECG files. {DISCLAIMER}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Files = Annotated[
    list[Path],
    typer.Argument(
        help="ECG files or folders of one record (a .hea finds its signal files); `ecg-ka formats` lists the formats"
    ),
]
File = Annotated[Path, typer.Argument(help="one ECG: a file, or a folder that holds one record")]
Fs = Annotated[float | None, typer.Option("--fs-hz", help="sampling rate, for files that do not state it (npy, CSV)")]
Units = Annotated[str | None, typer.Option(help="mV, uV or V, for files that do not state their unit")]
Leads = Annotated[str | None, typer.Option(help="lead names in file order, comma-separated, for files without names")]
BundleFolder = Annotated[Path, typer.Option("--bundle", help="model bundle; the default is the shipped demonstration")]
Level = Annotated[float, typer.Option(help="level of the interval, 0.5 to 0.99", min=0.5, max=0.99)]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON only")]

_LONGEST_HEADER = 2**20
REFUSED = 2
"""Exit code when at least one file was refused."""
NOT_WRITTEN = 1
"""Exit code when the answer, or a part of it, could not be written."""


@app.command()
def estimate(  # noqa: PLR0913 - one parameter an option
    files: Files,
    fs_hz: Fs = None,
    units: Units = None,
    leads: Leads = None,
    level: Level = 0.9,
    bundle: BundleFolder = SHIPPED,
    history: Annotated[
        Path | None,
        typer.Option(help="CSV of earlier ECGs of the same patient: path, potassium_mmol_l (measured in the blood)"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Estimate potassium for each file: a table, or with --json an array with one answer a file.

    With --history all files are of one patient, whose own offset is taken off.

    Exit code 2 when any file is refused; the others are answered all the same.
    """
    paths = _records(files)
    estimator = Estimator.load(bundle)
    facts = _facts(fs_hz, units, leads)
    personal = None if history is None else estimator.personalize(read_history(history, facts))
    with typer.progressbar(paths, label="estimating", file=sys.stderr, hidden=len(paths) < 10) as bar:
        answers = [(_printable(path), _answer(estimator, path, facts, level, personal)) for path in bar]
    print(json.dumps([_plain(*a) for a in answers], indent=1) if as_json else estimates_text(answers))
    if any(isinstance(answer, EcgError) for _, answer in answers):
        raise typer.Exit(REFUSED)


@app.command()
def quality(
    file: File,
    full: Annotated[bool, typer.Option("--full", help="also the slow look by neurokit2 (extra `quality`)")] = False,
    fs_hz: Fs = None,
    units: Units = None,
    leads: Leads = None,
    as_json: AsJson = False,
) -> None:
    """Signal quality of one ECG, lead by lead."""
    record = read(file, **_facts(fs_hz, units, leads))
    found = assess(record)
    report: dict[str, Any] = {
        "grade": found.grade,
        "heart_rate_bpm": found.heart_rate_bpm,
        "qrs_ms": found.qrs_ms,
        "n_beats": len(found.r_peaks),
        "duration_s": record.duration_s,
        "leads_missing": record.leads_missing,
        "flags": [{"name": flag, "sentence": flag.sentence} for flag in sorted(found.flags)],
        "notes": found.notes,
        "leads": [asdict(lead) for lead in found.leads],
        "full": asdict(full_report(record, found)) if full else None,
    }
    print(json.dumps(report, indent=1) if as_json else quality_text(report))


@app.command()
def plot(
    file: File,
    output: Annotated[Path, typer.Option("--output", "-o", help="SVG file to write")],
    fs_hz: Fs = None,
    units: Units = None,
    leads: Leads = None,
    bundle: BundleFolder = SHIPPED,
) -> None:
    """Draw the clinical page (3 x 4 leads and a rhythm strip, 25 mm/s, 10 mm/mV) with the estimate on it."""
    if output.exists() and file.exists() and output.samefile(file):
        raise EcgError(f"{output} is the ECG itself; choose another file with --output")
    record = read(file, **_facts(fs_hz, units, leads))
    page = estimate_page(record, Estimator.load(bundle).estimate(record))
    _write(output, page)
    print(f"wrote {output}")


@app.command()
def explain(  # noqa: PLR0913 - one parameter an option
    file: File,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="SVG page to write, waves shaded")] = None,
    fs_hz: Fs = None,
    units: Units = None,
    leads: Leads = None,
    bundle: BundleFolder = SHIPPED,
    as_json: AsJson = False,
) -> None:
    """Which part of the beat moves the estimate of one ECG; needs neurokit2 (extra `quality`)."""
    if output is not None and output.exists() and file.exists() and output.samefile(file):
        raise EcgError(f"{output} is the ECG itself; choose another file with --output")
    record, estimator = read(file, **_facts(fs_hz, units, leads)), Estimator.load(bundle)
    found = explain_record(estimator, record)
    if output is not None:
        _write(output, estimate_page(record, estimator.estimate(record), found))
    print(json.dumps(found.to_dict(), indent=1) if as_json else explanation_text(found))


@app.command()
def convert(  # noqa: PLR0913 - one parameter an option
    file: File,
    to: Annotated[Target, typer.Option(help="format to write")],
    output: Annotated[Path, typer.Option("--output", "-o", help="file to write; WFDB adds .hea and .dat")],
    fs_hz: Fs = None,
    units: Units = None,
    leads: Leads = None,
    patient_id: Annotated[str, typer.Option(help="for DICOM; otherwise no one is named")] = "",
    patient_name: Annotated[str, typer.Option(help="for DICOM, as Family^Given; otherwise no one is named")] = "",
    force: Annotated[bool, typer.Option("--force", help="overwrite files that are there")] = False,
) -> None:
    """Write one ECG in another format: all its samples, read back and compared first; nothing is resampled."""
    if (patient_id or patient_name) and to is not Target.DICOM:
        raise typer.BadParameter("only DICOM names a patient", param_hint="--patient-id, --patient-name")
    record = read(file, **_facts(fs_hz, units, leads))
    written = converted(record, to, output.name, Patient(id_=patient_id, name=patient_name))
    paths = {output.with_name(name): data for name, data in written.items()}
    _refuse_overwriting(paths, file, force=force)
    for path, data in paths.items():
        _write(path, data)
    print(f"wrote {', '.join(map(str, paths))}{how_to_read(record, to)}")


@app.command()
def export(  # noqa: PLR0913 - one parameter an option
    file: File,
    to: Annotated[Output, typer.Option(help="fhir, hl7v2 and dicom-sr are for records; pdf, svg and json to look at")],
    output: Annotated[Path, typer.Option("--output", "-o", help="file to write")],
    fs_hz: Fs = None,
    units: Units = None,
    leads: Leads = None,
    level: Level = 0.9,
    bundle: BundleFolder = SHIPPED,
    subject: Annotated[str | None, typer.Option(help="for fhir and hl7v2: Patient/4711 or ASSIGNER|4711")] = None,
    allow_demo: Annotated[bool, typer.Option("--allow-demo", help="a demonstration's records, marked as test")] = False,
    force: Annotated[bool, typer.Option("--force", help="overwrite the file when it is there")] = False,
) -> None:
    """Write the estimate of one ECG in a language that other systems speak."""
    _refuse_overwriting([output], file, force=force)
    record = read(file, **_facts(fs_hz, units, leads))
    answered = Answered(
        estimate=Estimator.load(bundle).estimate(record, level=level),
        record=record,
        source=file,
        issued=datetime.now().astimezone(),
        identity=Identity.of(subject, None),
        demo_allowed=allow_demo,
    )
    _write(output, exported(answered, to))
    print(f"wrote {output}")


@app.command()
def formats() -> None:
    """What is read: each format, how it is known, what has to be given, and its limits."""
    print(formats_text())


@app.command()
def simulate(
    potassium: Annotated[float, typer.Option(help="serum potassium in mmol/L", min=1.5, max=10.0)],
    output: Annotated[Path, typer.Option("--output", "-o", help="CSV file to write; `ecg-ka estimate` reads it")],
    patient: Annotated[int, typer.Option(help="which simulated patient", min=0)] = 1,
    visit: Annotated[int, typer.Option(help="which recording of that patient", min=0)] = 1,
    preset: Annotated[str, typer.Option(help="size of the potassium effects: published or evidence")] = "published",
    noise: Annotated[bool, typer.Option(help="electrode noise, filters and cable faults")] = True,
) -> None:
    """Simulate a 12-lead ECG at a chosen potassium. Simulated: it says nothing about patients."""
    from ecg_ka.simulator import Preset, draw_patient
    from ecg_ka.simulator import simulate as simulate_record

    if preset not in set(Preset):
        raise typer.BadParameter(f"{preset!r}; expected one of {', '.join(Preset)}", param_hint="--preset")
    record = simulate_record(draw_patient(patient, Preset(preset)), potassium, visit, noise=noise)
    _write(output, record_csv(record))
    print(f"wrote {output}: simulated, {potassium:g} mmol/L")


@app.command()
def info(bundle: BundleFolder = SHIPPED, as_json: AsJson = False) -> None:
    """The model bundle: what it was trained on, what it takes, what it is worth."""
    loaded = load_bundle(bundle)
    identity, metrics, is_simulated = loaded.identity(), loaded.metrics, loaded.provenance.is_simulated
    about = {
        "model": asdict(identity),
        "is_simulated": is_simulated,
        "may_be_shared": not loaded.provenance.licences,
        "licences": loaded.provenance.licences,
        "signal": asdict(loaded.signal),
        "regions": asdict(loaded.regions),
        "training": loaded.provenance.training,
        "metrics": metrics,
        "disclaimer": DISCLAIMER,
    }
    print(
        json.dumps(about, indent=1)
        if as_json
        else model_text(identity, metrics, loaded.sharing, is_simulated=is_simulated)
    )


def main() -> None:
    """Run the command; an error that was foreseen ends it with one line on standard error and exit code 2.

    A full disk behind standard output gives one line and exit code 1. A pipe whose reader has seen enough (``| head``)
    ends the command quietly by SIGPIPE, as it ends other tools.
    """
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    warnings.simplefilter("ignore")  # libraries quote in them what they read, control characters included
    try:
        _run()
    except EcgError as error:
        print(f"ecg-ka: {error.title}: {error}", file=sys.stderr)
        sys.exit(REFUSED)
    except OSError as error:
        if error.filename is not None:
            raise  # not about standard output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is unwritten would fail again at the end
        print(f"ecg-ka: Cannot write the answer: {error.strerror}", file=sys.stderr)
        sys.exit(NOT_WRITTEN)


def _run() -> None:
    try:
        app()
    finally:
        sys.stdout.flush()  # here, where a failure can still be told


def _records(files: list[Path]) -> list[Path]:
    """Files without the signal files of headers that are given too: a pair is one record."""
    named = {header.parent / name for header in files if header.suffix == ".hea" for name in _signal_files(header)}
    return [path for path in files if path not in named]


def _signal_files(header: Path) -> tuple[str, ...]:
    try:
        with header.open("rb") as file:
            data = file.read(_LONGEST_HEADER)
        return wfdb_header.signal_files(data) if wfdb_header.recognises(data) else ()
    except (OSError, EcgError):
        return ()  # reading the record will say what is wrong


def _facts(fs_hz: float | None, units: str | None, leads: str | None) -> dict[str, Any]:
    names = None if leads is None else tuple(name.strip() for name in leads.split(","))
    return {"fs_hz": fs_hz, "units": units, "leads": names}


def _answer(
    estimator: Estimator, path: Path, facts: dict[str, Any], level: float, personal: PatientOffset | None
) -> Estimate | EcgError:
    try:
        return estimator.estimate(read(path, **facts), level=level, personal=personal)
    except EcgError as error:
        return error


def _plain(name: str, answer: Estimate | EcgError) -> dict[str, Any]:
    """One answer in JSON types: the same keys whether it was estimated or refused; ``error`` is null or a problem."""
    if isinstance(answer, Estimate):
        return {"file": name, **answer.to_dict(), "error": None}
    problem = {"type": type(answer).__name__, "title": answer.title, "detail": str(answer)}
    return {"file": name, **refusal_dict(answer), "error": problem}


def _printable(path: Path) -> str:
    """A path in one line that any terminal takes, whatever bytes its name holds."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(path))


def _refuse_overwriting(paths: Iterable[Path], ecg: Path, *, force: bool) -> None:
    for path in paths:
        if path.exists() and _holds(ecg, path):
            raise EcgError(f"{path} belongs to the ECG itself; choose another file with --output")
        if not force and (path.exists() or path.is_symlink()):
            raise EcgError(f"{path} is there already; choose another file with --output, or overwrite it with --force")


def _holds(ecg: Path, path: Path) -> bool:
    """Whether a path is the ECG, a file in its folder when it is one, or a signal file of its header."""
    if ecg.is_dir():
        return path.resolve().parent == ecg.resolve()
    header = ecg.with_suffix(".hea")
    return any(
        other.exists() and path.samefile(other) for other in (ecg, header, *map(ecg.with_name, _signal_files(header)))
    )


def _write(path: Path, content: str | bytes) -> None:
    try:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise EcgError(f"cannot write {path} ({error.strerror}); choose another place with --output") from error


if __name__ == "__main__":
    main()

"""The subcommands for one ECG, and about the model and the formats."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ecg_ka.bundle import SHIPPED, load_bundle
from ecg_ka.cli.app import app
from ecg_ka.cli.files import json_text, refuse_overwriting, write
from ecg_ka.cli.options import Age, AsJson, BundleFolder, File, Force, Fs, Leads, Level, Units, facts_of
from ecg_ka.errors import DemoExport
from ecg_ka.estimate import DISCLAIMER
from ecg_ka.estimator import Estimator
from ecg_ka.exporters import (
    Answered,
    Identity,
    Output,
    Patient,
    Target,
    converted,
    estimate_page,
    explanation_text,
    exported,
    formats_text,
    how_to_read,
    model_text,
    quality_text,
    record_csv,
)
from ecg_ka.quality import assess, full_report
from ecg_ka.readers import read
from ecg_ka.wave_effects import explain as explain_record


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
    record = read(file, **facts_of(fs_hz, units, leads))
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
    print(json_text(report) if as_json else quality_text(report))


@app.command()
def plot(  # noqa: PLR0913 - one parameter an option
    file: File,
    output: Annotated[Path, typer.Option("--output", "-o", help="SVG file to write")],
    fs_hz: Fs = None,
    units: Units = None,
    leads: Leads = None,
    age: Age = None,
    bundle: BundleFolder = SHIPPED,
    force: Force = False,
) -> None:
    """Draw the clinical page (3 x 4 leads and a rhythm strip, 25 mm/s, 10 mm/mV) with the estimate on it."""
    refuse_overwriting([output], file, force=force)
    record = read(file, **facts_of(fs_hz, units, leads))
    page = estimate_page(record, Estimator.load(bundle).estimate(record, age_years=age))
    write(output, page)
    print(f"wrote {output}")


@app.command()
def explain(  # noqa: PLR0913 - one parameter an option
    file: File,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="SVG page to write, waves shaded")] = None,
    fs_hz: Fs = None,
    units: Units = None,
    leads: Leads = None,
    age: Age = None,
    bundle: BundleFolder = SHIPPED,
    as_json: AsJson = False,
    force: Force = False,
) -> None:
    """Which part of the beat moves the estimate of one ECG; needs neurokit2 (extra `quality`)."""
    refuse_overwriting([] if output is None else [output], file, force=force)
    record, estimator = read(file, **facts_of(fs_hz, units, leads)), Estimator.load(bundle)
    found, estimate = explain_record(estimator, record, age_years=age), estimator.estimate(record, age_years=age)
    if output is not None:
        write(output, estimate_page(record, estimate, found))
    if as_json:
        answer = estimate.to_dict()
        beside = {name: answer[name] for name in ("flags", "ecg", "model", "disclaimer")}  # as the service answers
        print(json_text(found.to_dict() | beside))
    else:
        print(explanation_text(found, estimate.flags))


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
    force: Force = False,
) -> None:
    """Write one ECG in another format: all its samples, read back and compared first; nothing is resampled."""
    if (patient_id or patient_name) and to is not Target.DICOM:
        raise typer.BadParameter("only DICOM names a patient", param_hint="--patient-id, --patient-name")
    record = read(file, **facts_of(fs_hz, units, leads))
    written = converted(record, to, output.name, Patient(id_=patient_id, name=patient_name))
    paths = {output.with_name(name): data for name, data in written.items()}
    refuse_overwriting(paths, file, force=force)
    for path, data in paths.items():
        write(path, data)
    print(f"wrote {', '.join(map(str, paths))}{how_to_read(record, to)}")


@app.command()
def export(  # noqa: PLR0913 - one parameter an option
    file: File,
    to: Annotated[Output, typer.Option(help="fhir, hl7v2 and dicom-sr are for records; pdf, svg and json to look at")],
    output: Annotated[Path, typer.Option("--output", "-o", help="file to write")],
    fs_hz: Fs = None,
    units: Units = None,
    leads: Leads = None,
    age: Age = None,
    level: Level = 0.9,
    bundle: BundleFolder = SHIPPED,
    subject: Annotated[str | None, typer.Option(help="for fhir and hl7v2: Patient/4711 or ASSIGNER|4711")] = None,
    allow_demo: Annotated[bool, typer.Option("--allow-demo", help="a demonstration's records, marked as test")] = False,
    force: Force = False,
) -> None:
    """Write the estimate of one ECG in a language that other systems speak."""
    refuse_overwriting([output], file, force=force)
    record = read(file, **facts_of(fs_hz, units, leads))
    answered = Answered(
        estimate=Estimator.load(bundle).estimate(record, level=level, age_years=age),
        record=record,
        source=file,
        issued=datetime.now().astimezone(),
        identity=Identity.of(subject, None),
        demo_allowed=allow_demo,
    )
    try:
        content = exported(answered, to)
    except DemoExport as error:
        raise DemoExport(f"{error}. Here --allow-demo does") from error
    write(output, content)
    print(f"wrote {output}")


@app.command()
def formats() -> None:
    """What is read: each format, how it is known, what has to be given, and its limits."""
    print(f"{formats_text()}\n\nfs_hz, units and leads are given as --fs-hz, --units and --leads.")


@app.command()
def simulate(  # noqa: PLR0913 - one parameter an option
    potassium: Annotated[float, typer.Option(help="serum potassium in mmol/L", min=1.5, max=10.0)],
    output: Annotated[Path, typer.Option("--output", "-o", help="CSV file to write; `ecg-ka estimate` reads it")],
    patient: Annotated[int, typer.Option(help="which simulated patient", min=0)] = 1,
    visit: Annotated[int, typer.Option(help="which recording of that patient", min=0)] = 1,
    preset: Annotated[str, typer.Option(help="size of the potassium effects: published or evidence")] = "published",
    noise: Annotated[bool, typer.Option(help="electrode noise, filters and cable faults")] = True,
    force: Force = False,
) -> None:
    """Simulate a 12-lead ECG at a chosen potassium. Simulated: it says nothing about patients."""
    from ecg_ka.simulator import Preset, draw_patient
    from ecg_ka.simulator import simulate as simulate_record

    if preset not in set(Preset):
        raise typer.BadParameter(f"{preset!r}; expected one of {', '.join(Preset)}", param_hint="--preset")
    refuse_overwriting([output], None, force=force)
    record = simulate_record(draw_patient(patient, Preset(preset)), potassium, visit, noise=noise)
    write(output, record_csv(record))
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
    print(json_text(about) if as_json else model_text(identity, metrics, loaded.sharing, is_simulated=is_simulated))

"""`ecg-ka estimate`: files to answers, or with --out a whole archive to a table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ecg_ka.bundle import SHIPPED
from ecg_ka.cli import archive
from ecg_ka.cli.app import REFUSED, app
from ecg_ka.cli.files import json_text
from ecg_ka.cli.options import (
    Age,
    AsJson,
    BundleFolder,
    Files,
    Force,
    Fs,
    Leads,
    Level,
    Units,
    facts_of,
    records_of,
    with_options,
)
from ecg_ka.errors import EcgError, one_line
from ecg_ka.estimate import Estimate, refusal_dict
from ecg_ka.estimator import Estimator
from ecg_ka.exporters import estimates_text
from ecg_ka.history import read_history
from ecg_ka.readers import read


@app.command()
def estimate(  # noqa: PLR0913 - one parameter an option
    files: Files,
    fs_hz: Fs = None,
    units: Units = None,
    leads: Leads = None,
    age: Age = None,
    level: Level = 0.9,
    bundle: BundleFolder = SHIPPED,
    history: Annotated[
        Path | None,
        typer.Option(help="CSV of earlier ECGs of the same patient: path, potassium_mmol_l (measured in the blood)"),
    ] = None,
    as_json: AsJson = False,
    out: archive.Out = None,
    workers: archive.Workers = 0,
    ordered: archive.Ordered = True,
    force: Force = False,
) -> None:
    """Estimate potassium for each file: a table, or with --json an array with one answer a file.

    With --history or --age all files are of one patient; the history's own offset is taken off.

    With --out all ECGs below the folders go into a table, one row each, by several processes; what was refused is in
    its .rejects.csv with the reason. A run that was stopped or killed goes on when called again.

    Exit code 2 when any file is refused; the others are answered all the same.
    """
    facts, paths = facts_of(fs_hz, units, leads), records_of(files)
    if out is not None:
        given = {"--history": history is not None, "--age": age is not None, "--json": as_json}
        if any(given.values()):
            names = ", ".join(name for name, is_given in given.items() if is_given)
            raise typer.BadParameter("a table has no place for it", param_hint=f"{names} with --out")
        archive.to_table(archive.job_of(map(str, paths), bundle, level, facts), out, workers, ordered, force)
        return
    estimator = Estimator.load(bundle)
    earlier = [] if history is None else read_history(history, facts)
    personal = estimator.personalize(earlier) if earlier else None
    options = {"level": level, "personal": personal, "age_years": age}
    known = frozenset(record.source.sha256 for record, _ in earlier)
    with typer.progressbar(paths, label="estimating", file=sys.stderr, hidden=len(paths) < 10) as bar:
        answers = [(one_line(str(path)), _answer(estimator, path, facts, options, known)) for path in bar]
    print(json_text([_plain(*a) for a in answers]) if as_json else estimates_text(answers))
    if any(isinstance(answer, EcgError) for _, answer in answers):
        raise typer.Exit(REFUSED)


def _answer(
    estimator: Estimator, path: Path, facts: dict[str, Any], options: dict[str, Any], known: frozenset[str]
) -> Estimate | EcgError:
    try:
        record = read(path, **facts)
        if record.source.sha256 in known:
            return EcgError("it is in the history, with its potassium; expected a later ECG")
        return estimator.estimate(record, **options)
    except EcgError as error:
        return type(error)(with_options(str(error)))


def _plain(name: str, answer: Estimate | EcgError) -> dict[str, Any]:
    """One answer in JSON types: the same keys whether it was estimated or refused; ``error`` is null or a problem."""
    if isinstance(answer, Estimate):
        return {"file": name, **answer.to_dict(), "error": None}
    problem = {"type": type(answer).__name__, "title": answer.title, "detail": str(answer)}
    return {"file": name, **refusal_dict(answer), "error": problem}

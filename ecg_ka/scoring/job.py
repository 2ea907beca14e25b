"""What is to be done with every ECG of an archive, and doing it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ecg_ka.bundle import Bundle, load_bundle
from ecg_ka.errors import EcgError, NoWorkingSpace
from ecg_ka.estimate import DISCLAIMER
from ecg_ka.estimator import Estimator
from ecg_ka.flags import Flag
from ecg_ka.scoring import object_store
from ecg_ka.scoring.row import Row, Status, Value, estimated_row, refused_row
from ecg_ka.scoring.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """``inputs`` are files, folders and URLs; ``fs_hz``, ``units`` and ``leads`` are for files that lack them."""

    inputs: tuple[str, ...]
    bundle: Path
    level: float
    fs_hz: float | None = None
    units: str | None = None
    leads: tuple[str, ...] | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What :func:`~ecg_ka.readers.read` takes."""
        return {"fs_hz": self.fs_hz, "units": self.units, "leads": self.leads}

    def about(self) -> dict[str, Any]:
        """What a table says about itself: notice, model, and everything that decides about its content.

        Raises:
            BundleError: there is no valid bundle.
        """
        from ecg_ka import __version__

        bundle = load_bundle(self.bundle)
        options = {name: value for name, value in asdict(self).items() if name != "bundle"}
        return {
            "notice": _notice(bundle),
            "disclaimer": DISCLAIMER,
            "model": asdict(bundle.identity()),
            "program": f"ecg_ka {__version__}",
            "options": options,
        }

    def plan(self) -> dict[str, Any]:
        """What an unfinished table has to be begun with: the same from the same folder.

        Raises:
            BundleError: there is no valid bundle.
        """
        places = [path if object_store.is_url(path) else os.path.abspath(path) for path in self.inputs]  # noqa: PTH100 - links stay
        return {**self.about(), "places": places}


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """How many ECGs of an archive became what."""

    estimated: int
    withheld: int
    refused: int

    def __str__(self) -> str:
        return f"{self.estimated} estimated, {self.withheld} withheld, {self.refused} refused"


class Scorer:
    """Holds the model of a job; one a process."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._estimator = Estimator.load(job.bundle)
        identity = self._estimator.bundle.identity()
        self._always: dict[str, Value] = {
            "model": f"{identity.name} {identity.version}",
            "model_sha256": identity.sha256,
            "notice": _notice(self._estimator.bundle),
        }

    def rows(self, sources: Sequence[Source]) -> list[Row]:
        """A row for each.

        Raises:
            NoWorkingSpace: temporary files cannot be written; the ECGs may be good.
        """
        return [self._row(source) for source in sources]

    def died(self, source: Source) -> Row:
        """The row of an ECG that ended the process that read it."""
        reason = "the process that read it died, perhaps of too little memory; it was tried alone"
        return refused_row(source.name, "ProcessDied", reason, self._always)

    def _row(self, source: Source) -> Row:
        try:
            estimate = self._estimator.estimate(source.read(self._job.facts), level=self._job.level)
        except NoWorkingSpace:
            raise
        except EcgError as error:
            return refused_row(source.name, type(error).__name__, str(error), self._always)
        except Exception as error:  # noqa: BLE001 - one ECG must not end a run over millions; the reject list tells it
            return refused_row(source.name, type(error).__name__, f"unexpected: {error}", self._always)
        return estimated_row(source.name, estimate, self._always)


def totals(counts: dict[Status, int]) -> Totals:
    """From counts by status."""
    return Totals(**{status.value: counts.get(status, 0) for status in Status})


def _notice(bundle: Bundle) -> str:
    return "RESEARCH_USE_ONLY" + (f" {Flag.DEMO_MODEL}" if bundle.provenance.is_simulated else "")

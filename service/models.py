"""The model in use, and how another takes its place while requests go on.

What ``ECG_KA_BUNDLE`` leads to is read at the start, and again when the operator says so. A new bundle is loaded beside
the one in use, has to give the answers of its reference ECGs, and only then takes over, in one assignment: a request
that has begun ends with the model that it began with, and every answer names its model. What is refused changes
nothing.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path

import ecg_ka
from service.errors import ModelRefused, StorageUnavailable
from service.storage.store import Act, Store

_LOG = logging.getLogger("service")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A bundle that gave the answers of its reference ECGs, up to ``largest_difference``; none of them when it has
    none."""

    estimator: ecg_ka.Estimator
    n_references: int
    largest_difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Which model answered before, if any, and which does now."""

    before: ecg_ka.Estimator | None
    now: Checked


class Models:
    """The bundle in ``folder``; safe to share between threads."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._folder = folder
        self._threads = threads
        self._current: ecg_ka.Estimator | None = None
        self._was_refused = False
        self._lock = threading.Lock()

    @property
    def current(self) -> ecg_ka.Estimator | None:
        """The model that answers; None when none could be loaded yet."""
        return self._current

    @property
    def was_refused(self) -> bool:
        """Whether the last bundle that was to be used was refused."""
        return self._was_refused

    def start(self) -> None:
        """Load the first one. A bundle without reference ECGs is taken, with a warning. Without a bundle the service
        lives, says that it is not ready, and its log tells why."""
        with self._lock:
            try:
                checked = check(self._folder, self._threads)
            except ecg_ka.BundleError as error:
                self._was_refused = True
                _LOG.error("no bundle", extra={"data": {"reason": str(error)}})
                return
            if not checked.n_references:
                _LOG.warning("bundle not checked", extra={"data": {"reason": "it has no reference ECGs"}})
            self._use(checked, None)

    def reload(self, store: Store | None, act: Act) -> Change:
        """Load the bundle anew and use it from now on; that stands in the audit trail before it happens.

        Raises:
            ModelRefused: it is damaged, unknown to this version, without reference ECGs, or it answers otherwise.
            StorageUnavailable: the trail cannot be written.
        """
        with self._lock:
            before = self._current
            try:
                checked = _with_references(self._folder, self._threads)
            except ecg_ka.BundleError as error:
                self._was_refused = True
                _LOG.error("bundle refused", extra={"data": {"reason": str(error)}})
                raise ModelRefused(f"{error}. The model in use stays.") from None
            if store is not None and (before is None or before.bundle.sha256 != checked.estimator.bundle.sha256):
                with store.act() as connection:
                    store.record(connection, act, "model.use", checked.estimator.bundle.sha256)
            self._use(checked, before)
            return Change(before=before, now=checked)

    def reload_or_stay(self, store: Store | None, act: Act) -> None:
        """The same, where nobody waits for an answer: the log tells what happened."""
        try:
            self.reload(store, act)
        except (ModelRefused, StorageUnavailable) as error:
            _LOG.warning("the model in use stays", extra={"data": {"reason": type(error).__name__}})

    def _use(self, checked: Checked, before: ecg_ka.Estimator | None) -> None:
        self._current = checked.estimator
        self._was_refused = False
        identity = checked.estimator.bundle.identity()
        data: dict[str, str | None] = {"model": identity.name, "version": identity.version, "sha256": identity.sha256}
        data |= {"before": before.bundle.sha256 if before else None}
        _LOG.info("bundle loaded", extra={"data": data})


def check(folder: Path, threads: int) -> Checked:
    """The bundle in a folder, once it gave the answers of its reference ECGs, if it has some.

    Raises:
        BundleError: it is damaged or unknown to this version, or it answers otherwise.
    """
    folder = folder.resolve()  # a link that is pointed elsewhere meanwhile mixes no two bundles
    estimator = ecg_ka.Estimator.load(folder, threads=threads)
    references = ecg_ka.load_references(folder, estimator.bundle.sha256)
    if references is None:
        return Checked(estimator=estimator, n_references=0, largest_difference=0.0)
    difference = references.largest_difference(estimator)
    return Checked(estimator=estimator, n_references=len(references), largest_difference=difference)


def _with_references(folder: Path, threads: int) -> Checked:
    checked = check(folder, threads)
    if not checked.n_references:
        raise ecg_ka.BundleError(
            f"{folder} has no reference ECGs; expected references.npz, as training.export writes it"
        )
    return checked

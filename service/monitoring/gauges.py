"""What is kept, as gauges for Prometheus; read from the database at most once a minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from service.errors import StorageUnavailable
from service.kept_schemas import MonitoringOut
from service.models import Models
from service.monitoring.summary import SELECTION, WINDOW_DAYS, summarise
from service.storage import batches
from service.storage.batches import Queue
from service.storage.store import Store

_FRESH_S = 60.0
_PREFIX = "ecg_ka_monitoring"


class Gauges(Collector):
    """The metrics of ``/v1/monitoring`` over 30 days, and the queue of the batches."""

    def __init__(self, store: Store | None, models: Models, lease_s: float) -> None:
        self._store = store
        self._models = models
        self._lease_s = lease_s
        self._lock = threading.Lock()
        self._summary: tuple[MonitoringOut, float] | None = None

    def describe(self) -> Iterable[Metric]:
        """Nothing ahead of time: no database is read to register."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The gauges now; those of an unreachable database are left out, and one says so."""
        yield from _of_models(self._models)
        if self._store is None:
            return
        try:
            with self._store.database.read() as connection:
                queue = batches.queue(connection, self._lease_s)
            summary = self._summarised(self._store)
        except StorageUnavailable:
            yield _gauge("ecg_ka_storage_up", "1 when the database answers", 0.0)
            return
        yield _gauge("ecg_ka_storage_up", "1 when the database answers", 1.0)
        yield from _of_queue(queue)
        if summary is not None:
            yield from _of_estimates(summary)
            yield from _of_feedback(summary)

    def _summarised(self, store: Store) -> MonitoringOut | None:
        estimator = self._models.current
        if estimator is None:
            return None
        with self._lock:
            known, until = self._summary or (None, 0.0)
            is_of_it = known is not None and known.model_sha256 == estimator.bundle.sha256
            if not is_of_it or time.monotonic() > until:
                known = summarise(store, estimator, WINDOW_DAYS)
                self._summary = known, time.monotonic() + _FRESH_S
            return known


def _of_models(models: Models) -> Iterator[Metric]:
    estimator = models.current
    yield _gauge("ecg_ka_bundle_loaded", "1 when a model is loaded", float(estimator is not None))
    refused = float(models.was_refused)
    yield _gauge("ecg_ka_bundle_refused", "1 when the last bundle that was to be used was refused", refused)
    named = GaugeMetricFamily("ecg_ka_bundle_info", "the model that answers", labels=["name", "version", "sha256"])
    if estimator is not None:
        identity = estimator.bundle.identity()
        named.add_metric([identity.name, identity.version, identity.sha256], 1.0)
    yield named


def _of_queue(queue: Queue) -> Iterator[Metric]:
    yield _gauge("ecg_ka_batch_ecgs_waiting", "ECGs of batches that are not done", queue.n_waiting)
    yield _gauge("ecg_ka_batch_oldest_seconds", "age of the oldest batch that is not done", queue.oldest_s)
    yield _gauge("ecg_ka_batch_workers", "workers heard of within the lease", queue.n_workers)


def _of_estimates(summary: MonitoringOut) -> Iterator[Metric]:
    yield _gauge(f"{_PREFIX}_estimates", "estimates in the window, 20,000 at most", summary.n_estimates)
    yield _gauge(f"{_PREFIX}_abstention_ratio", "share that was withheld", summary.abstention_rate)
    distance = summary.predictions.wasserstein_mmol_l
    yield _gauge(f"{_PREFIX}_wasserstein_mmol_l", "distance of the estimates from the training labels", distance)
    shift = GaugeMetricFamily(f"{_PREFIX}_input_shift", "distance of an input from its first ones", labels=["feature"])
    for drift in summary.drift:
        if drift.shift is not None:
            shift.add_metric([drift.feature], drift.shift)
    yield shift


def _of_feedback(summary: MonitoringOut) -> Iterator[Metric]:
    measures = {
        "pairs": ("laboratory values that count", "n"),
        "mae_mmol_l": ("mean absolute error", "mae_mmol_l"),
        "bias_mmol_l": ("mean of estimate minus laboratory", "bias_mmol_l"),
        "coverage_ratio": ("share of laboratory values inside the interval", "coverage"),
    }
    for name, (words, field) in measures.items():
        family = GaugeMetricFamily(f"{_PREFIX}_{name}", f"{words}, by region. {SELECTION}", labels=["region"])
        for accuracy in summary.accuracy:
            value = getattr(accuracy, field)
            if value is not None:
                family.add_metric([accuracy.region], value)
        yield family
    for name in ("mean_p", "observed", "brier"):
        family = GaugeMetricFamily(f"{_PREFIX}_{name}", "calibration of a probability", labels=["event"])
        for reliability in summary.reliability:
            value = getattr(reliability, name)
            if value is not None:
                family.add_metric([f"{reliability.comparator}{reliability.threshold_mmol_l:g}"], value)
        yield family


def _gauge(name: str, words: str, value: float | None) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, words)
    if value is not None:
        family.add_metric([], value)
    return family

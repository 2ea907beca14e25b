"""The worker: claims one ECG after the other, estimates it, keeps the answer. As many as wanted run beside the API."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid

import ecg_ka
from service import logs
from service.errors import EcgLost, StorageUnavailable, WorkersDied, problem_of
from service.fields import EcgFields
from service.schemas import EstimateOut
from service.storage import batches, estimates
from service.storage.batches import Item, Outcome
from service.storage.store import Store

_LOG = logging.getLogger("service")
_POLL_S = 0.5
_RETRY_S = 2.0
_LONGEST_S = 300.0  # an ECG that takes longer is not held any more: its worker hangs


class Worker:
    """One worker process; ``lease_s`` is how long it may be silent."""

    def __init__(self, store: Store, estimator: ecg_ka.Estimator, lease_s: float) -> None:
        self._store = store
        self._estimator = estimator
        self._lease_s = lease_s
        self._name = f"{socket.gethostname()[:40]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._held: tuple[Item, float] | None = None

    def use(self, estimator: ecg_ka.Estimator) -> None:
        """Another model, from the next ECG on; every answer names its own."""
        self._estimator = estimator

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop; the ECG at hand is finished first."""
        pulse = threading.Thread(target=self._beat, args=(stop,), daemon=True)
        pulse.start()
        while not stop.is_set():
            try:
                wait_s = 0.0 if self._work() else _POLL_S
            except (StorageUnavailable, ecg_ka.NoWorkingSpace) as error:
                _LOG.warning("worker waits", extra={"data": {"reason": type(error).__name__}})
                wait_s = _RETRY_S
            stop.wait(wait_s)
        pulse.join()

    def _work(self) -> bool:
        item = batches.claim(self._store, self._name, self._lease_s)
        if item is None:
            return False
        self._held = item, time.monotonic() + _LONGEST_S
        try:
            outcome = self._outcome(item)
            is_kept = batches.finish(self._store, item, outcome)
        finally:
            self._held = None
        data = {"batch": item.batch_id, "position": item.position, "status": outcome.status, "kept": is_kept}
        _LOG.info("ecg done", extra={"data": data})
        return True

    def _outcome(self, item: Item) -> Outcome:
        try:
            return self._estimated(item)
        except ecg_ka.NoWorkingSpace:
            raise
        except Exception as error:  # noqa: BLE001 - one bad ECG must not take the worker and the rest of the batch along
            problem = problem_of(error, item.request_id)
            if problem.status == 500:
                places = {"error": type(error).__name__, "places": logs.places(error.__traceback__)}
                _LOG.error("unexpected error", extra={"data": places})
            return Outcome(status=problem.status, answer=problem.model_dump(), row=None, content=None)

    def _estimated(self, item: Item) -> Outcome:
        if item.attempts > batches.MAX_ATTEMPTS:
            raise WorkersDied(f"{batches.MAX_ATTEMPTS} workers ended while they worked on this ECG; it is given up.")
        try:
            content = self._store.spool.read(item.batch_id, item.position)
        except FileNotFoundError:
            raise EcgLost("the bytes of this ECG are not in the spool any more. Send it again.") from None
        fields = EcgFields.model_validate(item.fields)
        record = ecg_ka.read(content, fs_hz=fields.fs_hz, units=fields.units, leads=fields.lead_names)
        estimate = self._estimator.estimate(record, level=fields.level)
        answer = EstimateOut.model_validate_json(estimate.to_json()).model_dump(mode="json")
        row = estimates.row_of(self._store, record, estimate)
        return Outcome(status=200, answer=answer, row=row, content=content)

    def _beat(self, stop: threading.Event) -> None:
        """Say that this worker lives, and hold its ECG, three times a lease."""
        while True:
            try:
                batches.hear(self._store, self._name)
                held = self._held
                if held and time.monotonic() < held[1]:
                    batches.prolong(self._store, held[0], self._lease_s)
                if stop.is_set() and self._held is None:
                    batches.leave(self._store, self._name)
                    return
            except StorageUnavailable:
                if stop.is_set():
                    return
            stop.wait(self._lease_s / 3)
            if stop.is_set():
                time.sleep(0.05)

"""SIGHUP: do it again, as daemons do."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def on_hangup(act: Callable[[], None]) -> Iterator[None]:
    """Within the block every SIGHUP has ``act`` called, one call after the other, in a thread of its own: a handler
    runs in the midst of whatever the main thread does. Only a main thread can take signals; in any other nothing is
    done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: queue.SimpleQueue[bool] = queue.SimpleQueue()  # a handler may put into it at any moment

    def listen() -> None:
        while heard.get():
            act()

    before = signal.signal(signal.SIGHUP, lambda *_: heard.put(True))
    listener = threading.Thread(target=listen, name="hangup")
    listener.start()
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
        heard.put(False)
        listener.join()

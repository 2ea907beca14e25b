"""Work that ends its process; in a file of its own, as new processes import it."""

from __future__ import annotations

import os
import signal


def ends_its_process(number: int) -> int:
    """The square of every number but 3."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number

"""The image of the Dockerfile, built and run without an engine: by the program that lies beside the shared data."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.required import missing

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT.parent / "shared" / "tools" / "build-image"
BASE = "python-base"
_START_S = 300


def build(tag: str) -> None:
    """Build the last stage of the Dockerfile under this tag."""
    if not PROGRAM.is_file():
        missing("image", f"the program that builds images is not at {PROGRAM}")
    if os.geteuid() != 0 or not all(map(shutil.which, ("buildah", "debootstrap"))):
        missing("image", "images are built by root, with buildah and debootstrap (Debian's names)")
    done = subprocess.run([PROGRAM, "build", tag, ROOT], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


def remove(tag: str) -> None:
    """Delete the image: each takes a gigabyte."""
    storage = os.environ | {"STORAGE_DRIVER": "vfs"}  # that of the program
    subprocess.run(["buildah", "rmi", f"localhost/{tag}"], check=True, stdout=subprocess.DEVNULL, env=storage)


def size_mb(tag: str) -> int:
    """Unpacked size."""
    return int(subprocess.run([PROGRAM, "size", tag], check=True, capture_output=True, text=True).stdout.split()[-1])


@dataclass(frozen=True)
class Container:
    """The running service: its client, its process, and the file of its log."""

    client: httpx2.Client
    pid: int
    log: Path

    def command(self, *command: str) -> list[str]:
        """What runs a command beside the service, as its user, in its file system and environment."""
        environment = Path(f"/proc/{self.pid}/environ").read_bytes().decode().split("\0")
        into = ["nsenter", "-t", str(self.pid), "-m", "-r", "-w", "-S", "10001", "-G", "10001"]
        return [*into, "env", "-i", *filter(None, environment), *command]

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(self.command(*command), capture_output=True, text=True, timeout=120)


@contextmanager
def started(tag: str, log: Path, **settings: object) -> Iterator[Container]:
    """The image's own entry point, with a read-only root, a small /tmp and a writable /data, for the block."""
    port = _free_port()
    given = [f"ECG_KA_{name.upper()}={value}" for name, value in ({"port": port} | settings).items()]
    with (
        log.open("wb") as output,
        subprocess.Popen([PROGRAM, "start", tag, *given], stdout=output, stderr=output) as starter,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client,
    ):
        pid = 0
        try:
            _wait_until_alive(client, starter, log)
            pid = _inside(starter.pid)
            yield Container(client, pid, log)
        finally:
            os.kill(pid, signal.SIGTERM) if pid else starter.terminate()
            starter.wait(timeout=60)


def _wait_until_alive(client: httpx2.Client, starter: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and starter.poll() is None:
        try:
            if client.get("/healthz").status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.2)
    pytest.fail(f"the container did not start: {log.read_text()[-3000:]}")


def _inside(starter: int) -> int:
    """The child of the starter that has another root."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == starter and str((entry / "root").readlink()) != "/":
                return int(entry.name)
        except OSError:  # it ended meanwhile
            continue
    pytest.fail("the process of the container was not found")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

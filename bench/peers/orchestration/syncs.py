"""Counts what an engine makes durable: the calls by which its processes ask the system to put data on the disk, and
how many of them are commits.

It looks from outside, with `strace`, so that all engines are counted by one rule. Tracing slows them down: figures
of time are never taken meanwhile.
"""

import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

CALLS = "fsync,fdatasync,sync_file_range,msync,syncfs,sync"
# A call that another thread interrupts in the listing has a second line, which does not look like this.
CALL = re.compile(r"(?:%s)\((?:\d+<(?P<path>[^>]*)>)?" % CALLS.replace(",", "|"))
WAIT_SECONDS = 30
QUIET_SECONDS = 1.0


def can_count() -> bool:
    return shutil.which("strace") is not None


class Syncs:
    """A context in which the syncs of these processes, their threads and what they start are counted."""

    def __init__(self, processes: list[int], folder: Path) -> None:
        self._processes = processes
        self._listing = folder / "syncs"
        self._errors = folder / "strace.err"
        self.all = 0
        self.commits = 0
        self.seconds = 0.0

    def __enter__(self) -> "Syncs":
        attach = [argument for pid in self._processes for argument in ("-p", str(pid))]
        command = ["strace", "-f", "-y", "-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(self._listing), *attach]
        with open(self._errors, "wb") as errors:
            # In a group of its own: ^C is for us to pass on.
            self._tracer = subprocess.Popen(command, stderr=errors, start_new_session=True)
        deadline = time.monotonic() + WAIT_SECONDS
        try:
            while not all(_traced(pid, self._tracer.pid) for pid in self._processes):
                if self._tracer.poll() is not None or time.monotonic() > deadline:
                    raise OSError(f"strace cannot attach: {self._errors.read_text().strip()[-300:]}")
                time.sleep(0.02)
        except BaseException:
            self._detach()
            raise
        self._since = time.monotonic()
        return self

    def __exit__(self, *_) -> None:
        self.seconds = time.monotonic() - self._since
        self._detach()
        paths = self._paths()
        self.all = len(paths)
        self.commits = sum(_commits(path) for path in paths)

    def settle(self, rate: float) -> None:
        """Waits until the engine has digested what it was given: until it syncs no more than this often a second."""
        deadline = time.monotonic() + WAIT_SECONDS
        before = len(self._paths())
        while time.monotonic() < deadline:
            time.sleep(QUIET_SECONDS)
            now = len(self._paths())
            if now - before <= 2 * rate * QUIET_SECONDS:
                return
            before = now

    def _paths(self) -> list[str]:
        """The file of each sync until now; nothing where a call names none."""
        return [match["path"] or "" for match in CALL.finditer(self._listing.read_text(errors="replace"))]

    def _detach(self) -> None:
        if self._tracer.poll() is None:
            self._tracer.send_signal(signal.SIGINT)
            try:
                self._tracer.wait(WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                self._tracer.kill()
                self._tracer.wait()


def _commits(path: str) -> bool:
    """Whether a sync of this file is one by which something becomes durable, and not one on the way there.

    SQLite without a write-ahead log syncs its journal once or twice, then the database, then the folder: one commit.
    """
    return not path.endswith("-journal") and not Path(path or "/dev/null").is_dir()


def _traced(pid: int, tracer: int) -> bool:
    """Whether the process and all its threads are traced; one that is gone does not matter."""
    try:
        statuses = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    except OSError:
        return True
    return all(f"TracerPid:\t{tracer}\n" in status for status in statuses)

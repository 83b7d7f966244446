"""Where one mode of an engine runs: a folder, free ports, a fresh database, and processes that end with it."""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from orchestration.client import Client
from orchestration.database import Database
from orchestration.environment import Environment

WAIT_SECONDS = 120
WORK = Path(__file__).parent.parent / "work"


class Broken(Exception):
    """A process ended, or did not do what was waited for."""


class Stage:
    """A context: leaving it, however, stops all processes by their ids, drops the database and removes the folder."""

    def __init__(self, environment: Environment, database: Database | None) -> None:
        self.source = environment.source
        self.folder = environment.folder / "run"
        self.npm = environment.npm
        self.debian = environment.debian
        self.bin = environment.bin
        self._server = database
        self._databases: list[str] = []
        self._processes: list[tuple[str, subprocess.Popen]] = []

    def __enter__(self) -> "Stage":
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        return self

    def __exit__(self, *_) -> None:
        # Whoever presses ^C again must not stop the stopping.
        patient = {one: signal.signal(one, signal.SIG_IGN) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            for _name, process in reversed(self._processes):
                _end(process)
            for name in self._databases:
                self._server.drop(name)
            shutil.rmtree(self.folder, ignore_errors=True)
        finally:
            for one, handler in patient.items():
                signal.signal(one, handler)

    def ports(self, count: int) -> list[int]:
        sockets = [socket.socket() for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in sockets]
        for one in sockets:
            one.close()
        return ports

    def database(self, scheme: str = "postgresql") -> str:
        """The URL of a new, empty database."""
        name = f"peer_{self.source.name}_{os.getpid()}_{len(self._databases)}"
        self._server.create(name)
        self._databases.append(name)
        return self._server.url_of(name, scheme)

    def postgres(self) -> list[int]:
        """The processes of the database server, whose syncs count."""
        return self._server.processes()

    def spawn(self, name: str, command: list, *, env=None, cwd=None, **pipes) -> subprocess.Popen:
        """Starts a process in a group of its own; what it says goes to a file, unless piped."""
        with open(self.folder / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=cwd or self.folder,
                env={**os.environ, "PYTHONPATH": str(WORK), "PYTHONDONTWRITEBYTECODE": "1", **(env or {})},
                stdin=pipes.get("stdin", subprocess.DEVNULL),
                stdout=pipes.get("stdout", log),
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )
        self._processes.append((name, process))
        return process

    def client(self, *arguments, env=None, syncs=(), syncs_of_client: bool = False) -> Client:
        """Starts the client. `syncs` are what writes what the engine makes durable: processes, or functions of ids."""
        process = self.spawn(
            "client",
            [self.bin / "python", self.source / "client.py", *arguments],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        return Client(process, [*syncs, process] if syncs_of_client else list(syncs))

    def await_port(self, port: int, process: subprocess.Popen) -> None:
        def answers() -> bool:
            with socket.socket() as one:
                one.settimeout(1)
                return one.connect_ex(("127.0.0.1", port)) == 0

        self._await(f"port {port}", process, answers)

    def await_http(self, url: str, process: subprocess.Popen) -> None:
        def answers() -> bool:
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    return answer.status == 200
            except (urllib.error.URLError, OSError):
                return False

        self._await(url, process, answers)

    def await_line(self, name: str, words: str, process: subprocess.Popen) -> None:
        """Waits until the process has said these words."""
        log = self.folder / f"{name}.log"
        self._await(f"{words!r} of {name}", process, lambda: words in log.read_text(errors="replace"))

    def _await(self, what: str, process: subprocess.Popen, holds) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not holds():
            if process.poll() is not None:
                raise Broken(f"{self._name(process)} ended with {process.returncode}")
            if time.monotonic() > deadline:
                raise Broken(f"{what} was not there within {WAIT_SECONDS} s")
            time.sleep(0.05)

    def _name(self, process: subprocess.Popen) -> str:
        return next(name for name, one in self._processes if one is process)

    def last_words(self) -> str:
        """The ends of all logs, for whoever looks why something broke."""
        ends = []
        for log in sorted(self.folder.glob("*.log")):
            lines = log.read_text(errors="replace").strip().splitlines()[-15:]
            if lines:
                ends.append(f"--- {log.name}\n" + "\n".join(lines))
        return "\n".join(ends)


def _end_with_parent() -> None:
    """Asks Linux to end the process when we are gone without having ended it: after SIGKILL, say."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def _end(process: subprocess.Popen) -> None:
    """Asks, waits, and then insists; with it goes its group, which is what it started itself."""
    if process.stdin:
        process.stdin.close()
    for insist, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        try:
            if process.poll() is None:
                os.kill(process.pid, insist)
                process.wait(patience)
        except (subprocess.TimeoutExpired, ProcessLookupError):
            continue
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdout:
        process.stdout.close()

"""The Postgres that engines share, each with a fresh database in it; spoken to by `psql`."""

import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from orchestration.driver import Unavailable


class Database:
    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._psql = _psql()
        self.settings = self._settings()

    def url_of(self, name: str, scheme: str) -> str:
        return urlunsplit(self._url._replace(scheme=scheme, path=f"/{name}"))

    def create(self, name: str) -> None:
        self._say(f"CREATE DATABASE {name}")

    def drop(self, name: str) -> None:
        self._say(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def processes(self) -> list[int]:
        """The server's process and its children, where it runs on this machine; otherwise none."""
        backend = int(self._say("SELECT pg_backend_pid()"))
        known = [int(pid) for pid in self._say("SELECT pid FROM pg_stat_activity").split()]
        for pid in known:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                parent = int(fields[1])
                if "postgres" in Path(f"/proc/{parent}/comm").read_text():
                    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
                    return [parent, *(int(child) for child in children if int(child) != backend)]
            except OSError:
                continue
        return []

    def _settings(self) -> str:
        names = ("server_version", "fsync", "synchronous_commit", "wal_sync_method", "shared_buffers")
        values = self._say(f"SELECT {', '.join(f'current_setting($${name}$$)' for name in names)}").split("|")
        return ", ".join(f"{name} {value.split(' ')[0]}" for name, value in zip(names, values, strict=True))

    def _say(self, sql: str) -> str:
        url = urlunsplit(self._url._replace(scheme="postgresql"))
        command = [self._psql, "--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "--command", sql, url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise Unavailable(f"Postgres: {done.stderr.strip() or 'psql failed'}")
        return done.stdout.strip()


def _psql() -> str:
    found = shutil.which("psql") or next((str(path) for path in Path("/usr/lib/postgresql").glob("*/bin/psql")), None)
    if found is None:
        raise Unavailable("psql is missing: scripts/setup installs Postgres")
    return found

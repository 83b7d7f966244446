"""Installs an engine by the names and versions pinned beside its driver, into a folder of its own, once."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from orchestration.driver import Unavailable


class Environment:
    """What a driver's lists name: a virtual environment, npm packages, unpacked Debian packages."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.source = source
        self.folder = folder
        self.venv = folder / "venv"
        self.npm = folder / "npm" / "node_modules"
        self.debian = folder / "debian"

    @property
    def bin(self) -> Path:
        return self.venv / "bin"

    def install(self) -> None:
        """Makes what is missing; raises `Unavailable` with the last words of the installer where that fails."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._once("requirements.txt", self.venv, self._venv)
        self._once("npm.txt", self.npm.parent, self._npm)
        self._once("debian.txt", self.debian, self._debian)

    def _once(self, name: str, target: Path, make) -> None:
        """Makes `target` anew unless it was made, to its end, from this very list."""
        wanted = self.source / name
        if name != "requirements.txt" and not wanted.exists():
            return
        text = wanted.read_text() if wanted.exists() else ""
        stamp = target / ".made"
        made = hashlib.sha256(f"{sys.version}\n{text}".encode()).hexdigest()
        if stamp.exists() and stamp.read_text() == made:
            return
        print(f"  installing {self.source.name}: {', '.join(text.split()) or 'nothing but Python'}", file=sys.stderr)
        shutil.rmtree(target, ignore_errors=True)
        make(text.split(), wanted)
        stamp.write_text(made)

    def _venv(self, packages: list[str], wanted: Path) -> None:
        self._call([sys.executable, "-m", "venv", str(self.venv)])
        if packages:
            pip = [str(self.bin / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            self._call([*pip, "--requirement", str(wanted)])

    def _npm(self, packages: list[str], _wanted: Path) -> None:
        self.npm.parent.mkdir(parents=True)
        # No script of a package runs; what we need are files.
        quiet = ["--silent", "--no-audit", "--no-fund", "--no-save", "--ignore-scripts"]
        self._call(["npm", "install", *quiet, "--prefix", str(self.npm.parent), *packages])

    def _debian(self, packages: list[str], _wanted: Path) -> None:
        """Unpacks beside the system: nothing is installed, nothing is started, no rights are needed."""
        self.debian.mkdir(parents=True)
        # Root's downloads go through a user who may not be allowed in here.
        self._call(["apt-get", "-o", "APT::Sandbox::User=root", "download", *packages], cwd=self.debian)
        for package in sorted(self.debian.glob("*.deb")):
            self._call(["dpkg-deb", "--extract", str(package), str(self.debian)])

    def _call(self, command: list[str], cwd: Path | None = None) -> None:
        environment = {**os.environ, "PIP_NO_INPUT": "1"}
        try:
            done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=900)
        except FileNotFoundError as error:
            raise Unavailable(f"{command[0]} is missing") from error
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"`{' '.join(command[:4])} …` took longer than 15 minutes") from error
        if done.returncode != 0:
            words = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
            raise Unavailable(f"`{' '.join(command[:4])} …` failed: {words}")

"""Temporal: the development server that the command line carries, on a SQLite file, and a worker on the Python SDK."""

import re
import subprocess

from orchestration.driver import Mode

SERVER = "The development server's SQLite file (rollback journal, fsync): "
MODES = [
    Mode(
        "activities",
        SERVER + "each step is scheduled, started and completed by events of the history, each batch of them committed "
        "before the workflow goes on.",
    ),
    Mode(
        "local-activities",
        SERVER + "a step's outcome is in the worker's memory until the workflow task ends, here with the run, and "
        "is committed then: a worker that dies runs the steps again.",
    ),
]


def start(mode, stage):
    binary = stage.bin / "temporal"
    port, http, metrics = stage.ports(3)
    server = stage.spawn(
        "server",
        [binary, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port),
         "--http-port", str(http), "--metrics-port", str(metrics), "--db-filename", stage.folder / "temporal.db",
         "--log-level", "error", "--disable-config-file", "--disable-config-env"],
    )
    stage.await_port(port, server)
    address = f"127.0.0.1:{port}"
    subprocess.run(
        [binary, "operator", "cluster", "health", "--address", address], check=True, capture_output=True, timeout=60
    )
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"Server ([\d.]+)", said)
    stage.spawn("worker", [stage.bin / "python", stage.source / "worker.py", address], cwd=stage.source)
    kind = "local" if mode.name == "local-activities" else "server"
    return stage.client(address, version.group(1) if version else "?", kind, syncs=[server])

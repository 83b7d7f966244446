"""Restate: its server (npm) beside a service on the Python SDK, called over HTTP/2."""

import json
import platform
import subprocess
import urllib.request

from orchestration.driver import Mode, Unavailable

MODES = [
    Mode(
        "server",
        "Every step is an entry of the server's log, on the disk (RocksDB's WAL, fsync, in groups) before the handler "
        "goes on; partition state follows from the log. One node, one copy; no database beside it.",
    )
]


def start(mode, stage):
    binary = server_binary(stage)
    ingress, admin, fabric, service = stage.ports(4)
    server = stage.spawn(
        "server",
        [binary, "--no-logo", "--listen-mode", "tcp", "--bind-ip", "127.0.0.1", "--node-name", "peer",
         "--bind-port", str(fabric), "--base-dir", str(stage.folder / "data")],
        env={
            "RESTATE_ADVERTISED_HOST": "127.0.0.1",
            "RESTATE_LOG_FILTER": "warn",
            "RESTATE_DISABLE_TELEMETRY": "true",
            "RESTATE_ADMIN__DISABLE_WEB_UI": "true",
            "RESTATE_INGRESS__BIND_PORT": str(ingress),
            "RESTATE_ADMIN__BIND_PORT": str(admin),
        },
    )
    worker = stage.spawn(
        "worker",
        [stage.bin / "hypercorn", "--bind", f"127.0.0.1:{service}", "--log-level", "warning", "worker:app"],
        cwd=stage.source,
    )
    stage.await_port(service, worker)
    stage.await_http(f"http://127.0.0.1:{admin}/health", server)
    register(f"http://127.0.0.1:{admin}/deployments", f"http://127.0.0.1:{service}")
    stage.await_http(f"http://127.0.0.1:{ingress}/restate/health", server)
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    return stage.client(f"http://127.0.0.1:{ingress}", version, syncs=[server])


def server_binary(stage):
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    system = platform.system().lower()
    found = stage.npm / "@restatedev" / f"restate-server-{system}-{machine}" / "bin" / "restate-server"
    if not found.exists():
        raise Unavailable(f"npm's package of Restate's server has no binary for {system} on {machine}")
    return found


def register(deployments: str, service: str) -> None:
    request = urllib.request.Request(
        deployments,
        data=json.dumps({"uri": service}).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()

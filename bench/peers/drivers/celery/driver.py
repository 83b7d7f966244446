"""Celery: broker and results in one Redis, a prefork worker of two processes."""

import platform

from orchestration.driver import Mode, Unavailable

MODES = [
    Mode(
        "redis",
        "Messages and results are in Redis' memory, with Debian's settings: a snapshot after a minute at the earliest "
        "and no append-only file, so that a crash of Redis loses what came since. A chain is not recorded as such: "
        "each message carries the rest of it.",
    ),
    Mode(
        "redis-fsync",
        "As before, with Redis' append-only file and an fsync before each answer (appendonly yes, appendfsync always).",
    ),
]
SETTINGS = {
    "redis": ["--appendonly", "no", "--save", "3600 1 300 100 60 10000"],
    "redis-fsync": ["--appendonly", "yes", "--appendfsync", "always", "--save", ""],
}
CORES = 2


def start(mode, stage):
    (port,) = stage.ports(1)
    binary = stage.debian / "usr" / "bin" / "redis-server"
    if not binary.exists():
        raise Unavailable("Debian's redis-tools has no redis-server in it")
    libraries = stage.debian / "usr" / "lib" / f"{platform.machine()}-linux-gnu"
    server = stage.spawn(
        "redis",
        [binary, "--bind", "127.0.0.1", "--port", str(port), "--dir", stage.folder, "--loglevel", "warning",
         *SETTINGS[mode.name]],
        env={"LD_LIBRARY_PATH": str(libraries)},
    )
    stage.await_port(port, server)
    url = {"REDIS_URL": f"redis://127.0.0.1:{port}/0"}
    worker = stage.spawn(
        "worker",
        [stage.bin / "celery", "--app", "worker", "worker", "--pool", "prefork", "--concurrency", str(CORES),
         "--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"],
        env=url,
        cwd=stage.source,
    )
    client = stage.client(env=url, syncs=[server])
    # The worker is there when it does something.
    client.latencies("chain40", 1)
    if worker.poll() is not None:
        raise Unavailable("the worker ended")
    return client

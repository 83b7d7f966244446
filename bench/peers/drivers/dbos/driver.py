"""DBOS: a library over a database, in the process that calls it or behind its queue."""

from orchestration.driver import Mode

POSTGRES = (
    "Postgres, the settings of all: a row per step, committed (fsync) before the workflow goes on, and rows for the "
    "workflow's start and end."
)
MODES = [
    Mode("in-process", POSTGRES, database=True),
    Mode("queue", POSTGRES, database=True, notes=dict.fromkeys(
        ("chain40", "fan100", "heavy10", "throughput"), "looks each second for work and results, its default")),
    Mode("queue-10ms", POSTGRES, database=True, notes=dict.fromkeys(
        ("chain40", "fan100", "heavy10", "throughput"), "looks each 10 ms for work and results")),
    Mode(
        "in-process-sqlite",
        "A SQLite file, with SQLite's defaults (rollback journal, synchronous full): a row per step, committed (fsync) "
        "before the workflow goes on.",
    ),
]
SECONDS = {"queue": "1.0", "queue-10ms": "0.01"}


def start(mode, stage):
    if mode.name == "in-process-sqlite":
        return stage.client(f"sqlite:///{stage.folder}/dbos.sqlite", syncs_of_client=True)
    url = stage.database()
    if mode.name == "in-process":
        return stage.client(url, syncs=[stage.postgres])
    seconds = SECONDS[mode.name]
    worker = stage.spawn(
        "worker", [stage.bin / "python", stage.source / "worker.py", url, seconds], cwd=stage.source
    )
    stage.await_line("worker", "takes work", worker)
    return stage.client(url, seconds, syncs=[stage.postgres])

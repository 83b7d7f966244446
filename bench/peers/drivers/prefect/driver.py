"""Prefect: its server on Postgres, and flows that run in the client's process."""

from orchestration.driver import Mode

MODES = [
    Mode(
        "in-process",
        "The result of a step is a file of the client's, written but not synced before the flow goes on. Its states go "
        "to the server as events, which commits them to Postgres, the settings of all, later: nothing waits for it.",
        database=True,
    )
]
QUIET = {
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
    "DO_NOT_TRACK": "1",
}


def start(mode, stage):
    (port,) = stage.ports(1)
    home = {"PREFECT_HOME": str(stage.folder / "home"), **QUIET}
    url = stage.database("postgresql+asyncpg")
    server = stage.spawn(
        "server",
        [stage.bin / "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        env={"PREFECT_SERVER_DATABASE_CONNECTION_URL": url, **home},
    )
    api = f"http://127.0.0.1:{port}/api"
    stage.await_http(f"{api}/health", server)
    recorded = {"PREFECT_API_URL": api, "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true", **home}
    return stage.client(env=recorded, syncs=[stage.postgres], syncs_of_client=True)

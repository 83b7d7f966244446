"""No engine: what the work itself costs."""

from orchestration.driver import Mode

MODES = [
    Mode(
        "bare",
        "Nothing: the functions are called, one after the other, and nothing is recorded.",
        scenarios={"throughput": "a call is no run"},
        notes={"fan100": "one after the other"},
    )
]


def start(mode, stage):
    return stage.client(syncs_of_client=True)

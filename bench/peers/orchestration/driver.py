"""What a driver says of its engine: the modes that matter, and what each makes durable.

`drivers/NAME/driver.py` holds `MODES` and `start(mode, stage)`, which starts what the engine needs and returns
`stage.client(…)`. Beside it are `client.py`, usually `worker.py`, and what to install: `requirements.txt` (PyPI),
`npm.txt` and `debian.txt`, each with pinned names, one a line.
"""

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path

DRIVERS = Path(__file__).parent.parent / "drivers"


class Unavailable(Exception):
    """The engine cannot run here; the message says why."""


@dataclass(frozen=True)
class Mode:
    """A way to run the engine that a figure can be of."""

    name: str
    durable: str
    """One sentence or two: what a step leaves on which disk before the run goes on, and what not."""
    scenarios: dict[str, str] = field(default_factory=dict)
    """Scenarios that it leaves out, each with the reason."""
    notes: dict[str, str] = field(default_factory=dict)
    """What to know of a figure of this scenario."""
    database: bool = False
    """Whether it needs Postgres."""


def names() -> list[str]:
    return sorted(path.parent.name for path in DRIVERS.glob("*/driver.py"))


def load(name: str):
    spec = importlib.util.spec_from_file_location(f"driver_{name}", DRIVERS / name / "driver.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

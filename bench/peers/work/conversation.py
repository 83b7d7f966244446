"""The client's side of a measurement: it takes orders as lines on stdin, submits, times, and answers in lines on stdout.

A client process is started once per engine and mode, so that it is warm; the orchestration tells it what to measure and
counts the engine's syncs between two orders. Orders and answers are JSON objects, one a line.
"""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Awaitable, Callable

LIGHT, HEAVY = 10, 33
STEPS = {"chain40": (40, LIGHT), "fan100": (100, LIGHT), "heavy10": (10, HEAVY)}
RESULTS = {LIGHT: 55, HEAVY: 3_524_578}


class Window:
    """The ends of runs in one measurement of throughput: what ended before `opens` was the ramp and does not count."""

    def __init__(self, seconds: float, ramp: float) -> None:
        self.opens = time.monotonic() + ramp
        self.closes = self.opens + seconds
        self.seconds = seconds
        self.runs = 0
        self.all_runs = 0
        self._lock = threading.Lock()

    def open(self) -> bool:
        """Whether another run may be submitted."""
        return time.monotonic() < self.closes

    def ended(self, result: int) -> None:
        if result != RESULTS[LIGHT]:
            raise ValueError(f"a run ended with {result!r}")
        with self._lock:
            self.all_runs += 1
            if self.opens <= time.monotonic() < self.closes:
                self.runs += 1


def converse(
    version: str,
    scenarios: dict[str, Callable[[int, int], int]],
    many: Callable[[int, Window], None] | None,
) -> None:
    """Serves orders until stdin ends.

    `scenarios` submits a run of so many steps of fibonacci(n), waits for it and returns the sum of their results; `many`
    keeps so many single-step runs in flight until the window closes.
    """
    answers = sys.stdout
    # Whatever a library prints goes where a person looks for it.
    sys.stdout = sys.stderr
    _say(answers, version=version)
    for line in sys.stdin:
        order = json.loads(line)
        if order["scenario"] == "throughput":
            window = Window(order["seconds"], order["ramp"])
            many(order["in_flight"], window)
            _say(answers, runs=window.runs, all_runs=window.all_runs, seconds=window.seconds)
        else:
            steps, n = STEPS[order["scenario"]]
            if order.get("light"):
                n = LIGHT
            samples = [_timed(scenarios[order["scenario"]], steps, n) for _ in range(order["samples"])]
            _say(answers, milliseconds=samples)


def _timed(run: Callable[[int, int], int], steps: int, n: int) -> float:
    started = time.perf_counter()
    total = run(steps, n)
    elapsed = (time.perf_counter() - started) * 1000
    if total != steps * RESULTS[n]:
        raise ValueError(f"{steps} steps of fibonacci({n}) gave {total!r}")
    return elapsed


def _say(answers, **answer) -> None:
    print(json.dumps(answer), file=answers, flush=True)


def in_threads(single: Callable[[], int], in_flight: int, window: Window) -> None:
    """Keeps runs in flight by as many threads, for clients that block."""
    broken = []

    def submit() -> None:
        try:
            while window.open() and not broken:
                window.ended(single())
        except Exception as error:
            broken.append(error)

    threads = [threading.Thread(target=submit) for _ in range(in_flight)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if broken:
        raise broken[0]


async def in_tasks(single: Callable[[], Awaitable[int]], in_flight: int, window: Window) -> None:
    """Keeps runs in flight by as many tasks of the event loop."""

    async def submit() -> None:
        while window.open():
            window.ended(await single())

    async with asyncio.TaskGroup() as tasks:
        for _ in range(in_flight):
            tasks.create_task(submit())

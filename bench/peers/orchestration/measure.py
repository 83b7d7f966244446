"""Measures the scenarios on one mode of one engine, the client being warm: figures as the README describes them."""

import sys
import time
from statistics import median

from orchestration.client import Client
from orchestration.driver import Mode
from orchestration.stage import Stage
from orchestration.syncs import Syncs, can_count

SCENARIOS = ("chain40", "fan100", "heavy10", "throughput")
STEPS = {"chain40": 40, "fan100": 100, "heavy10": 10, "throughput": 1}
IN_FLIGHT = (8, 32, 128)
SECONDS, RAMP = 5.0, 1.0
COUNTED_RUNS = 3
IDLE_SECONDS = 3.0


class Measurement:
    """One mode of one engine under measurement."""

    def __init__(self, system: str, mode: Mode, stage: Stage, client: Client) -> None:
        self._about = {"system": system, "version": client.version, "mode": mode.name}
        self._mode = mode
        self._stage = stage
        self._client = client
        self._idle = self._idling()

    def figures(self, scenarios: list[str], samples: int):
        """A figure for each scenario, as it is ready."""
        for scenario in scenarios:
            if scenario in self._mode.scenarios:
                skipped = self._mode.scenarios[scenario]
                yield {"scenario": scenario, **self._about, "skipped": skipped}
            elif scenario == "throughput":
                yield self._throughput()
            else:
                yield self._latency(scenario, samples)

    def _latency(self, scenario: str, samples: int) -> dict:
        if scenario == "heavy10":
            samples = min(samples, 3)
        progress(f"{scenario}: warming up, then {samples} runs")
        self._client.latencies(scenario, 3, light=True)
        values = self._client.latencies(scenario, samples)

        def again() -> int:
            # What a step leaves on the disk does not depend on how long it computes.
            runs = self._client.latencies(scenario, COUNTED_RUNS, light=True)
            return len(runs) * STEPS[scenario]

        return self._figure(scenario, "ms", values, self._syncs(again))

    def _throughput(self) -> dict:
        best: tuple[float, int] = (-1.0, 0)
        tried = []
        for in_flight in IN_FLIGHT:
            progress(f"throughput: {in_flight} in flight for {SECONDS:g} s")
            rate, _ = self._client.throughput(in_flight, SECONDS, RAMP)
            tried.append(f"{in_flight}: {rate:.0f}")
            best = max(best, (rate, in_flight))
        rate, in_flight = best
        syncs = self._syncs(lambda: self._client.throughput(in_flight, SECONDS, RAMP)[1])
        note = f"{in_flight} in flight was best of {', '.join(tried)} runs/s"
        return self._figure("throughput", "runs/s", [rate], syncs, note)

    def _figure(self, scenario: str, unit: str, values: list[float], syncs: tuple, note: str | None = None) -> dict:
        notes = [one for one in (note, self._mode.notes.get(scenario)) if one]
        return {
            "scenario": scenario,
            **self._about,
            "unit": unit,
            "median": round(median(values), 2),
            "min": round(min(values), 2),
            "max": round(max(values), 2),
            "samples": len(values),
            "commits_per_step": syncs[0],
            "syncs_per_step": syncs[1],
            "durable": self._mode.durable,
            "note": "; ".join(notes) or None,
        }

    def _syncs(self, work) -> tuple[float, float] | tuple[None, None]:
        """Durable commits and syncs per step, less those of an idle engine; `work` returns how many steps it had run."""
        if self._idle is None:
            return None, None
        try:
            with Syncs(self._client.syncing(), self._stage.folder) as busy:
                busy.settle(self._idle[1])
            with Syncs(self._client.syncing(), self._stage.folder) as busy:
                steps = work()
                busy.settle(self._idle[1])
        except OSError as error:
            progress(f"syncs not counted: {error}")
            return None, None
        counted = zip((busy.commits, busy.all), self._idle, strict=True)
        commits, syncs = (round(max(0.0, count - rate * busy.seconds) / steps, 2) for count, rate in counted)
        return commits, syncs

    def _idling(self) -> tuple[float, float] | None:
        """Durable commits and syncs per second of an engine that was given nothing yet; nothing if none can count."""
        processes = self._client.syncing()
        if not processes or not can_count():
            return None
        try:
            with Syncs(processes, self._stage.folder) as idle:
                time.sleep(IDLE_SECONDS)
        except OSError as error:
            progress(f"syncs are not counted: {error}")
            return None
        return idle.commits / idle.seconds, idle.all / idle.seconds


def progress(line: str) -> None:
    """Tells whoever waits what is being done."""
    print(f"  {line}", file=sys.stderr, flush=True)

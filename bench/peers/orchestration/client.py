"""The orchestration's end of the conversation with a client (`work/conversation.py` is the other)."""

import json
import select
import subprocess

PATIENCE_SECONDS = 600


class Gone(Exception):
    """The client did not answer."""


class Client:
    """A started client, and what syncs for its engine: processes, or functions that find their ids."""

    def __init__(self, process: subprocess.Popen, syncing: list) -> None:
        self._process = process
        self._syncing = syncing
        self.version: str = self._answer()["version"]

    def syncing(self) -> list[int]:
        """The ids of the processes that now sync for the engine."""
        found = [one() if callable(one) else [one.pid] for one in self._syncing]
        # An engine of which a part is elsewhere is not counted in part.
        return [pid for pids in found for pid in pids] if all(found) else []

    def latencies(self, scenario: str, samples: int, *, light: bool = False) -> list[float]:
        """Milliseconds from submit to result, of each run; `light` replaces heavy work, to warm the path up."""
        return self._ask(scenario=scenario, samples=samples, light=light)["milliseconds"]

    def throughput(self, in_flight: int, seconds: float, ramp: float) -> tuple[float, int]:
        """Runs that ended per second, while so many were kept in flight and without the ramp before; and all runs."""
        answer = self._ask(scenario="throughput", in_flight=in_flight, seconds=seconds, ramp=ramp)
        return answer["runs"] / answer["seconds"], answer["all_runs"]

    def _ask(self, **order) -> dict:
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise Gone("the client ended") from error
        return self._answer()

    def _answer(self) -> dict:
        # Nothing is buffered here between answers: each is one line, and waited for before the next order.
        if not select.select([self._process.stdout], [], [], PATIENCE_SECONDS)[0]:
            raise Gone(f"the client said nothing for {PATIENCE_SECONDS} s")
        line = self._process.stdout.readline()
        if not line:
            raise Gone("the client ended")
        return json.loads(line)

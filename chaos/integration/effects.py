"""The integration of the fault suite: each call tells an outside sink its stable key."""

import os
import signal
import time
import urllib.request
import uuid

from neena import context, integration, task


@integration(name="Effects", short_name="effects")
class Effects:
    """Leaves a trace outside, and brings its worker down when asked to."""

    @task(name="Put a key")
    def put(self, sink: str, seconds: float = 0.0) -> str:
        """Tells the sink this task's key, takes its time, and returns a word nobody can guess."""
        urllib.request.urlopen(sink, data=context().idempotency_key.encode(), timeout=30).read()
        time.sleep(seconds)
        return uuid.uuid4().hex

    @task(name="Kill the worker")
    def kill_worker(self, sink: str) -> str:
        """Tells the sink, then kills the process that called."""
        urllib.request.urlopen(sink, data=context().idempotency_key.encode(), timeout=30).read()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
        return "unreachable"

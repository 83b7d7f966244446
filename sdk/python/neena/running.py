"""What a task can know of the run it belongs to."""

_current = None


class Context:
    """The call that is running.

    `idempotency_key` is the same for every attempt of this task of this run: hand it to whatever
    must not do the same thing twice.
    """

    __slots__ = ("run_id", "index", "item", "attempt")

    def __init__(self, run_id, index, item, attempt):
        self.run_id = run_id
        self.index = index
        self.item = item
        self.attempt = attempt

    @property
    def idempotency_key(self):
        key = f"{self.run_id}:{self.index}"
        return key if self.item is None else f"{key}:{self.item}"

    def __repr__(self):
        return f"Context({self.idempotency_key}, attempt {self.attempt})"


def context():
    """The context of the task that is running; a `RuntimeError` outside of one."""
    if _current is None:
        raise RuntimeError("neena.context() is there only while a task runs")
    return _current


def enter(current):
    """Makes `current` (or none) the context; for the host. A host runs one call at a time."""
    global _current
    _current = current

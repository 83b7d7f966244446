"""`python -m neena.host`: a process that waits for calls of one integration's tasks.

It is started by a worker, with a socket as descriptor 0. The frames travel on a duplicate of it that
child processes do not inherit; descriptor 0 then is /dev/null, and 1 is 2. So whatever a task, a C
library or a subprocess prints only reaches the captured standard error.
"""

import os

_SOCKET = None
if __name__ == "__main__":
    # Before anything of the user's is imported.
    _SOCKET = os.dup(0)
    _nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(_nothing, 0)
    os.close(_nothing)
    os.dup2(2, 1)

import platform
import select
import signal
import sys
import threading
import time

from . import __version__
from .calls import CallError, Integration, load_error
from .running import Context
from .frames import Channel

PROTOCOL = 1

# How long the end may take once the worker is gone, in seconds.
GRACE = 5


class Host:
    """Serves one channel until it closes."""

    def __init__(self, channel, gone=lambda: False):
        self.channel = channel
        # Tells whether the worker is gone.
        self.gone = gone
        self.integration = None
        # Whether a task runs. Over before its answer is sent: whoever has that may close the channel.
        self.busy = False

    def serve(self):
        self.channel.send(
            {"type": "hello", "protocol": PROTOCOL, "sdk": __version__, "python": platform.python_version()}
        )
        while (frame := self.channel.receive()) is not None:
            self.busy = True
            # A call that a dead worker left in the channel is another worker's by now.
            if self.gone():
                return
            reply = self._answer(*frame)
            self.busy = False
            self.channel.send(*reply)

    def _answer(self, header, body):
        call = header.get("call")
        try:
            if header["type"] == "call":
                return {"type": "ok", "call": call}, self._call(header, body)
            if header["type"] == "load":
                return (self._load(header),)
            raise CallError("protocol", f"unknown frame {header['type']!r}")
        except CallError as error:
            reply = {"type": "error", "call": call, "kind": error.kind, "message": error.message}
            return (dict(reply, retryable=error.retryable, traceback=error.trace),)

    def _load(self, header):
        try:
            self.integration = Integration(header["path"], header["short_name"], header["code_digest"])
        except BaseException as error:
            raise load_error(error) from error
        finally:
            _flush()
        return {
            "type": "loaded",
            "code_digest": header["code_digest"],
            "tasks": sorted(self.integration.methods),
        }

    def _call(self, header, body):
        if self.integration is None:
            raise CallError("protocol", "a call before a load")
        current = Context(header["run"], header["index"], header["item"], header["attempt"])
        try:
            return self.integration.call(header["method"], body, current)
        finally:
            _flush()


def _flush():
    # What was printed goes out before the answer, so that it is told apart from the next call's.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass


def _closing(descriptor):
    """Polls whether the other end of the channel is closed, whatever is left to read of it."""
    poller = select.poll()
    poller.register(descriptor, getattr(select, "POLLRDHUP", 0))
    return poller


def _watch(host, descriptor):
    """Ends the process and its group when the worker is gone: a task must not outlive it.

    An idle host sees the end of the channel itself and leaves in good order; it is given a moment.
    """
    _closing(descriptor).poll()
    if not host.busy:
        time.sleep(GRACE)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _limit_memory(size):
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def main(arguments, descriptor):
    import argparse

    parser = argparse.ArgumentParser(prog="python -m neena.host")
    parser.add_argument("--directory", help="the tasks' working directory")
    parser.add_argument("--memory", type=int, help="limit of the address space, in bytes")
    options = parser.parse_args(arguments)
    if options.memory:
        _limit_memory(options.memory)
    if options.directory:
        os.chdir(options.directory)
    closing = _closing(descriptor)
    host = Host(Channel(descriptor), gone=lambda: bool(closing.poll(0)))
    threading.Thread(target=_watch, args=(host, descriptor), daemon=True, name="neena-watch").start()
    try:
        host.serve()
    except (BrokenPipeError, ConnectionResetError):
        pass  # the worker has gone: nobody is left to tell


if __name__ == "__main__":
    main(sys.argv[1:], _SOCKET)

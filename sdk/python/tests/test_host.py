"""The host as a process: what it answers, whom it lets call, and that it does not outlive its worker."""

import json
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

from sdk_path import SDK

from neena.frames import Channel

SOURCE = '''
import asyncio, os, sys, time
from neena import Fatal, context, integration, task
import lazy_free

class Base:
    @task(name="Inherited one")
    def inherited(self):
        return "inherited"

@integration(name="Probe", short_name="probe")
class Probe(Base):
    secret = "attribute"

    @task(name="Good task")
    def good(self, value=None):
        print("printed", flush=True)
        os.system("echo from a child")
        return value

    @task(name="Late import")
    def late(self, name):
        import lazy
        return [lazy.NAME, __import__(name).__name__]

    @task(name="Never end")
    def forever(self):
        self.good("started")
        time.sleep(1000)

    def undecorated(self):
        return "undecorated"
'''


class Host(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.path = self.folder / "probe.py"
        self.path.write_text(SOURCE)
        (self.folder / "lazy_free.py").write_text("")
        (self.folder / "lazy.py").write_text("NAME = 'lazy'\n")
        (self.folder / "unnamed.py").write_text("")
        done = subprocess.run([sys.executable, "-m", "neena.introspect", self.path], stdout=subprocess.PIPE, cwd=SDK, check=True)
        self.digest = json.loads(done.stdout)["integrations"][0]["code_digest"]
        self.calls = 0

    def start(self, load=True):
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        ours.settimeout(None)
        command = [sys.executable, "-m", "neena.host"]
        host = subprocess.Popen(
            command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=SDK, start_new_session=True
        )
        self.addCleanup(lambda: (host.kill(), host.communicate()))
        theirs.close()
        self.ours, self.channel, self.host = ours, Channel(ours.fileno()), host
        hello, _ = self.channel.receive()
        self.assertEqual((hello["type"], hello["protocol"]), ("hello", 1))
        if load:
            self.assertEqual(self.load()["tasks"], ["forever", "good", "late"])

    def load(self, **changes):
        self.channel.send({"type": "load", "path": str(self.path), "short_name": "probe", "code_digest": self.digest, **changes})
        return self.channel.receive()[0]

    def call(self, method, arguments=b"{}"):
        self.calls += 1
        header = {"type": "call", "call": self.calls, "method": method, "run": "r", "index": 1, "item": None, "attempt": 1}
        self.channel.send(header, arguments)
        reply, body = self.channel.receive()
        self.assertEqual(reply["call"], self.calls)
        return (reply["type"], body) if reply["type"] == "ok" else (reply["kind"], reply["message"])

    def test_only_what_the_class_itself_registered_can_be_called(self):
        self.start()
        self.assertEqual(self.call("good", b'{"value": {"a": 1}}'), ("ok", b'{"a":1}'))
        for name in ("os.system", "__init__", "__reduce__", "__class__", "a.b", "good.__func__", "inherited", "undecorated", "secret",
                     "g\u043e\u043ed", "\uff47ood", "good ", ""):  # fmt: skip
            self.assertEqual(self.call(name)[0], "unknown_method", name)

    def test_bad_arguments_are_errors_and_the_host_goes_on(self):
        self.start()
        for arguments in (b"", b"{", b"[]", b"\xff", b'{"value":' + b"[" * 100_000, b'{"other": 1}'):
            self.assertEqual(self.call("good", arguments)[0], "invalid_arguments", arguments[:20])
        self.assertEqual(self.call("good"), ("ok", b"null"))

    def test_a_call_needs_a_load_and_a_load_the_right_digest(self):
        self.start(load=False)
        self.assertEqual(self.call("good")[0], "protocol")
        self.assertEqual(self.load(code_digest="0" * 64)["kind"], "code_changed")
        self.assertEqual(self.call("good")[0], "protocol")

    def test_what_is_imported_late_comes_from_the_digested_bytes_or_not_at_all(self):
        self.start()
        (self.folder / "lazy.py").write_text("NAME = 'changed after the load'\n")
        self.assertEqual(self.call("late", b'{"name": "os"}'), ("ok", b'["lazy","os"]'))
        kind, message = self.call("late", b'{"name": "unnamed"}')
        self.assertEqual(kind, "exception")
        self.assertIn("unnamed.py belongs to the integration but not to its digest", message)

    def test_it_ends_in_good_order_when_its_worker_closes_the_channel(self):
        self.start()
        self.ours.shutdown(socket.SHUT_WR)
        self.assertEqual(self.host.wait(20), 0)

    def test_a_task_does_not_outlive_the_worker(self):
        self.start()
        header = {"type": "call", "call": 1, "method": "forever", "run": "r", "index": 1, "item": None, "attempt": 1}
        self.channel.send(header, b"{}")
        self.assertEqual(self.host.stderr.readline(), b"printed\n")
        self.ours.close()
        self.assertEqual(self.host.wait(20), -signal.SIGKILL)

    def test_a_call_that_a_dead_worker_left_is_not_run(self):
        self.start()
        self.host.send_signal(signal.SIGSTOP)
        header = {"type": "call", "call": 1, "method": "good", "run": "r", "index": 1, "item": None, "attempt": 1}
        self.channel.send(header, b"{}")
        self.ours.close()
        self.host.send_signal(signal.SIGCONT)
        _, printed = self.host.communicate(timeout=20)
        self.assertNotIn(b"printed", printed)


if __name__ == "__main__":
    unittest.main()

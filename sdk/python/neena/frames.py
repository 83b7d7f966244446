"""Frames between the worker and a host: a length (u32, big-endian), a JSON header, a newline, a raw body.

The length counts header, newline and body. Arguments and results are the body, so neither side
parses them as part of anything else.
"""

import json
import os

# No frame of a worker is longer: arguments are at most 1 MiB.
MAX_FRAME = (1 << 20) + (64 << 10)


class Channel:
    """Both directions on one descriptor, a socket. For one thread."""

    def __init__(self, descriptor):
        self._descriptor = descriptor
        self._buffer = b""

    def receive(self):
        """The next frame as (header, body); None once the other side has closed."""
        buffer = self._buffer
        size = -1
        while True:
            if size < 0 and len(buffer) >= 4:
                size = 4 + int.from_bytes(buffer[:4], "big")
                if size > MAX_FRAME:
                    raise ValueError(f"a frame of {size} bytes")
            if 0 <= size <= len(buffer):
                break
            part = os.read(self._descriptor, max(1 << 16, size - len(buffer)))
            if not part:
                return None
            buffer = buffer + part if buffer else part
        self._buffer = buffer[size:]
        end = buffer.index(b"\n", 4)
        return json.loads(buffer[4:end]), buffer[end + 1 : size]

    def send(self, header, body=b""):
        """Sends one frame; `header` is a dict without newlines in its JSON, `body` is bytes."""
        # A lone surrogate (a file name that is not UTF-8) cannot be sent; the rest of the text can.
        head = json.dumps(header, ensure_ascii=False).encode("utf-8", "replace")
        frame = b"".join(((len(head) + 1 + len(body)).to_bytes(4, "big"), head, b"\n", body))
        sent = os.write(self._descriptor, frame)
        while sent < len(frame):
            frame = memoryview(frame)[sent:]
            sent = os.write(self._descriptor, frame)

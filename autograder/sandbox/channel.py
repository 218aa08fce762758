"""The judge's end of a worker: frames under a deadline, its output drained. Layer: sandbox.

Nothing here blocks past the deadline, whatever the worker does: the socket does not block, lengths
are checked before memory is taken, and output is read away while waiting.
"""

from __future__ import annotations

import os
import select
import socket
import time
from contextlib import suppress

from autograder.sandbox.errors import Crashed, Malformed, TimedOut
from autograder.sandbox.limits import Limits
from autograder.wire import HEADER, Caps, Codec, Header, Kind, WireError

__all__ = ["Channel"]


class Channel:
    """Connection and output of one worker. Counts what was sent, for caps relative to it."""

    def __init__(
        self, connection: socket.socket, output: int, codec: Codec, limits: Limits
    ) -> None:
        self._connection, self._output, self._codec = connection, output, codec
        self._limits = limits
        self._connection.setblocking(False)
        os.set_blocking(output, False)
        self._poll = select.poll()
        self._poll.register(output, select.POLLIN)
        self._output_open = True
        self.sent_json_bytes = self.sent_raw_bytes = 0
        self.printed = bytearray()
        self.printed_bytes = 0

    def close(self) -> None:
        """Read what is left of the output and close both descriptors."""
        with suppress(Crashed):
            self.drain()
        self._connection.close()
        os.close(self._output)

    def check_quiet(self) -> None:
        """Raise Malformed if the worker said something unasked, Crashed if it has ended."""
        try:
            unasked = self._connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            unasked = b""
        if unasked:
            raise Malformed("the worker sent data that nobody had asked for")
        raise Crashed("the worker ended between two calls")

    def send(self, kind: Kind, nonce: int, body: object, deadline: float) -> None:
        """Send one frame; raises TimedOut, Crashed, or WireError for a body that cannot cross."""
        head, raw = self._codec.pack(kind, nonce, body, Caps())
        self.sent_json_bytes += len(head)
        self.sent_raw_bytes += len(raw)
        for part in (head, raw):
            view = memoryview(part)
            while view:
                try:
                    view = view[self._connection.send(view) :]
                except BlockingIOError:
                    self._wait(select.POLLOUT, deadline)
                except OSError:
                    raise Crashed("the worker ended while it was asked something") from None

    def receive(self, nonce: int, caps: Caps, deadline: float) -> tuple[Kind, object]:
        """One frame that answers ``nonce``; raises TimedOut, Crashed or Malformed."""
        try:
            header = Header.parse(self._read(HEADER.size, deadline), caps)
            if header.nonce != nonce:
                raise WireError("an answer to something that was not asked")
            text = self._read(header.json_bytes, deadline)
            raw = self._read(header.raw_bytes, deadline)
            body = self._codec.unpack(text, raw, caps)
        except WireError as error:
            raise Malformed(f"the answer is not acceptable: {error}") from None
        if time.monotonic() > deadline:
            raise TimedOut("the answer took too long to read")
        return header.kind, body

    def drain(self) -> None:
        """Read away what the worker printed; raises Crashed past the limit."""
        while True:
            try:
                data = os.read(self._output, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                if self._output_open:
                    self._poll.unregister(self._output)
                self._output_open = False
                return
            room = self._limits.output_kept_bytes - len(self.printed)
            self.printed += data[: max(0, room)]
            self.printed_bytes += len(data)
            if self.printed_bytes > self._limits.output_most_bytes:
                raise Crashed(f"printed more than {self._limits.output_most_bytes >> 20} MiB")

    def _read(self, size: int, deadline: float) -> bytearray:
        data = bytearray(size)
        view, got = memoryview(data), 0
        while got < size:
            try:
                count = self._connection.recv_into(view[got:])
            except BlockingIOError:
                self._wait(select.POLLIN, deadline)
                continue
            except OSError:
                count = 0
            if not count:
                raise Crashed("the worker ended during the call")
            got += count
            if time.monotonic() > deadline:
                raise TimedOut("no answer in time")
        return data

    def _wait(self, event: int, deadline: float) -> None:
        """Wait until the socket is ready, draining output meanwhile; raises TimedOut."""
        self._poll.register(self._connection, event)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimedOut("no answer in time")
            ready = [descriptor for descriptor, _ in self._poll.poll(left * 1000)]
            if self._output in ready:
                self.drain()
            if self._connection.fileno() in ready:
                return

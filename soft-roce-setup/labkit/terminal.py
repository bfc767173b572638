"""What the lab prints: lines of guests with their name in front, whole lines only, and its own remarks."""
import os
import sys

LONGEST_PART = 65536


def write_all(descriptor, data):
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view):]


class Lines:
    """One stream of one guest."""

    def __init__(self, name, descriptor, width=0):
        self._front = f"{name:<{width}} | ".encode()
        self._descriptor = descriptor
        self._held = bytearray()

    def feed(self, data):
        self._held += data
        end = self._held.rfind(b"\n") + 1
        if end == 0 and len(self._held) >= LONGEST_PART:
            self._held += b"\n"
            end = len(self._held)
        if end:
            whole = bytes(self._held[:end])
            del self._held[:end]
            write_all(self._descriptor, b"".join(self._front + line + b"\n" for line in whole[:-1].split(b"\n")))

    def finish(self):
        if self._held:
            self.feed(b"\n")


class Speaker:
    """The lab's own remarks, on standard error."""

    def __init__(self, quiet=False):
        self._quiet = quiet

    def say(self, text):
        if not self._quiet:
            self.warn(text)

    @staticmethod
    def warn(text):
        sys.stderr.write("".join(f"lab: {line}\n" for line in text.splitlines()))
        sys.stderr.flush()

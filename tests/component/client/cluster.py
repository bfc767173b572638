"""What the tests of clients share: a fake controller, and covey with made-up programs beside it."""
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ["COVEY_BUILD_DIR"]
SOURCE = os.environ["COVEY_SOURCE_DIR"]
FAKE = os.path.join(BUILD, "tests", "fake_controller")
COVEY = os.path.join(BUILD, "bin", "covey")
DEADLINE_S = 60


class Place:
    """A folder with code files, and an environment that knows no other controller."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="covey-cli-")
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith(("COVEY_", "XDG_")) or name in ("COVEY_LOG",)}
        self.environment.update(HOME=self.path("home"), COVEY_RUNTIME_DIR=self.path("runtime"),
                                COVEY_STATE_DIR=self.path("state"), XDG_RUNTIME_DIR=self.path("run"), TZ="UTC",
                                ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", ""))
        for name in ("home", "run"):
            os.mkdir(self.path(name))
        self.compile("hello.so", "int covey_work(void *c) { return c == 0; }", "-shared", "-fPIC")

    def path(self, name):
        return os.path.join(self.folder, name)

    def compile(self, name, text, *flags):
        subprocess.run(["cc", "-x", "c", "-o", self.path(name), *flags, "-"], input=text, text=True, check=True)
        return self.path(name)

    def copies(self, *names):
        for name in names:
            shutil.copy(self.path("hello.so"), self.path(name))

    def remove(self):
        shutil.rmtree(self.folder)

    def programs(self):
        """covey, with a fake coveyd and a fake covey-node beside it."""
        os.mkdir(self.path("bin"))
        shutil.copy(COVEY, self.path("bin/covey"))
        os.symlink(FAKE, self.path("bin/coveyd"))
        for name in ("covey-node", "covey-host", "covey-pack"):
            os.symlink(os.path.join(HERE, "fake_node.py"), self.path("bin/" + name))
        return self.path("bin/covey")

    def run(self, *arguments, covey=COVEY, server=None, **environment):
        """covey to its end. Its output in text."""
        whole = dict(self.environment, **environment)
        if server:
            whole["COVEY_SERVER"] = server
        return subprocess.run([covey, *arguments], cwd=self.folder, env=whole, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=DEADLINE_S, check=False)

    def start(self, *arguments, covey=COVEY, server=None):
        whole = dict(self.environment)
        if server:
            whole["COVEY_SERVER"] = server
        return subprocess.Popen([covey, *arguments], cwd=self.folder, env=whole, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextlib.contextmanager
def controller(place, listen=None, **environment):
    """A fake controller; gives its address."""
    process = subprocess.Popen([FAKE, "--listen", listen or "unix:" + place.path("fake.sock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               env=dict(place.environment, **environment), text=True)
    try:
        address = process.stdout.readline().strip()
        assert address, "the fake controller does not listen"
        yield address
    finally:
        process.stdin.close()
        status = process.wait(DEADLINE_S)
        process.stdout.close()
    assert status == 0, f"the fake controller ended with {status}"


def read_until(stream, word):
    """Lines of a pipe until one holds the word. They come as they are written: no line is lost in a buffer."""
    said = ""
    deadline = time.monotonic() + DEADLINE_S
    while word not in said:
        ready, _, _ = select.select([stream], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"{word!r} did not come: {said!r}"
        piece = os.read(stream.fileno(), 65536).decode()
        assert piece, f"{word!r} did not come before the end: {said!r}"
        said += piece
    return said


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


def wait_for(condition, what):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        # There is no event to wait for: a process of nobody's ends, a folder of another process goes.
        time.sleep(0.01)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def interrupt(process):
    process.send_signal(signal.SIGINT)

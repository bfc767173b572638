"""What the whole-system tests share: private clusters, the command line as a user has it, and the hunt for leftovers.

Every Sandbox has a state folder, a runtime folder and a home of its own, and whatever is started in it carries its name
in the environment, so that tests can run beside each other and each cleans up exactly what is its own.
"""
import base64
import calendar
import datetime
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

BUILD = os.environ["COVEY_BUILD_DIR"]
SOURCE = os.environ["COVEY_SOURCE_DIR"]
SANITIZED = bool(os.environ.get("COVEY_SANITIZE"))
BIN = os.path.join(BUILD, "bin")
EXAMPLES = os.path.join(BUILD, "examples")
WORKERS = os.path.join(BUILD, "tests", "system")

# Sanitizers make everything slower; a promise in milliseconds is only held to its letter without them.
SLOWNESS = 5 if SANITIZED else 1
# For what must come: no promise, only the end of a test that would not end.
LONG = 120
PROGRAMS = {"covey", "coveyd", "covey-node", "covey-host", "covey-pack"}
ENDED = {"SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT"}

OK, FAILED, BAD_INPUT, UNPLACEABLE, UNREACHABLE, TIMED_OUT, CANCELLED = 0, 1, 2, 3, 4, 5, 130

SANITIZER_REPORT = re.compile(r"(ERROR: (Address|Leak|Thread)Sanitizer|runtime error:|Sanitizer:DEADLYSIGNAL)")


def program(name):
    return os.path.join(BIN, name)


def example(name):
    return os.path.join(EXAMPLES, name)


def worker(name):
    return os.path.join(WORKERS, name)


def parse_time(text):
    """A Timestamp of protobuf's JSON, in seconds since 1970."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    at = datetime.datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S")
    return calendar.timegm(at.timetuple()) + float("0." + (fraction or "0"))


def free_port():
    """A TCP port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def starved():
    """Seconds, from some beginning, in which somebody on this machine waited for a cpu; 0 where the kernel does not tell."""
    try:
        with open("/proc/pressure/cpu", encoding="ascii") as file:
            return int(file.readline().rpartition("total=")[2]) / 1e6
    except (OSError, ValueError):
        return 0.0


class Moment:
    """Now, for a promise of speed from now on. It is what a machine at rest keeps: time in which somebody waited for a cpu
    does not count."""

    def __init__(self):
        self.wall, self.starved = time.time(), starved()

    def until(self, wall):
        """Seconds that a machine at rest would have needed until this time of the wall clock, which has come."""
        return wall - self.wall - (starved() - self.starved)

    def seconds(self):
        return self.until(time.time())


def wait_for(condition, what, seconds=LONG, promise=None):
    """Polls until condition() gives something true, and returns that. A promise is the seconds that it takes at rest."""
    begun, deadline = Moment(), time.monotonic() + seconds * SLOWNESS
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError("\n".join([f"waited {seconds * SLOWNESS} s in vain: {what}",
                                            *(sandbox.describe() for sandbox in Sandbox.open)]))
        if promise is not None and begun.seconds() > promise * SLOWNESS:
            raise AssertionError(f"not within {promise * SLOWNESS} s of a machine at rest: {what}")
        time.sleep(0.005)


class Process:
    """A process as /proc shows it now."""

    def __init__(self, pid):
        self.pid = pid
        with open(f"/proc/{pid}/environ", "rb") as file:
            self.environment = dict(
                entry.decode(errors="replace").partition("=")[::2] for entry in file.read().split(b"\0") if entry)
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            name, _, rest = file.read().partition("(")[2].rpartition(")")
        fields = rest.split()
        self.name, self.state, self.parent, self.start = name, fields[0], int(fields[1]), int(fields[19])
        self.exe = os.path.basename(os.readlink(f"/proc/{pid}/exe")).removesuffix(" (deleted)")
        self.cwd = os.readlink(f"/proc/{pid}/cwd")
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            self.command = file.read().split("\0")[:-1]

    def alive(self):
        try:
            now = Process(self.pid)
        except OSError:
            return False
        return now.start == self.start and now.state not in "ZX"

    def kill(self, number=signal.SIGKILL):
        os.kill(self.pid, number)

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def __repr__(self):
        return f"{self.exe}[{self.pid}]"


def processes(accept):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                process = Process(int(entry))
            except OSError:
                continue  # it ended, or it is the kernel's
            if process.state not in "ZX" and accept(process):
                found.append(process)
    return found


def files_below(folder):
    found = set()
    for where, folders, names in os.walk(folder):
        found.update(os.path.join(where, name) for name in folders + names)
    return found


class Finished:
    """A command that has ended: code, out, err, and its output as JSON objects."""

    def __init__(self, command, code, out, err, seconds):
        self.command, self.code, self.out, self.err, self.seconds = command, code, out, err, seconds

    def __str__(self):
        return f"{' '.join(self.command)} ended with {self.code} after {self.seconds:.2f} s\n--- out\n{self.out}\n--- err\n{self.err}"

    def objects(self):
        return [json.loads(line) for line in self.out.splitlines() if line.strip()]

    def last(self):
        found = self.objects()
        assert found, f"no JSON object: {self}"
        return found[-1]

    def logs(self):
        return log_lines(self.objects())


def log_lines(objects):
    """The log lines among objects, each with its text as str and its time as number."""
    return [dict(line, text=base64.b64decode(line["text"]).decode(errors="replace"), at=parse_time(line["at"]))
            for line in objects if "text" in line and "stream" in line]


class Sandbox:
    """Private folders, and the environment in which covey uses only them."""

    open = []

    def __init__(self, **environment):
        Sandbox.open.append(self)
        # Short: the path of a unix socket has at most 107 bytes.
        self.folder = tempfile.mkdtemp(prefix="cvy-", dir="/tmp")
        self.state = os.path.join(self.folder, "state")
        self.runtime = os.path.join(self.folder, "run")
        self.home = os.path.join(self.folder, "home")
        for folder in (self.state, self.runtime, self.home):
            os.mkdir(folder, 0o700)
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith(("COVEY_", "XDG_", "UCX_"))}
        self.environment.update(COVEY_STATE_DIR=self.state, XDG_RUNTIME_DIR=self.runtime, HOME=self.home,
                                COVEY_RUNTIME_DIR=os.path.join(self.runtime, "covey"),
                                XDG_CONFIG_HOME=os.path.join(self.home, ".config"), TMPDIR=self.folder, **environment)
        if SANITIZED:
            # The leak checker needs a /proc of its own pid namespace, and ends workers that have none.
            self.environment["ASAN_OPTIONS"] = "detect_leaks=0"
        self.started = []

    def start(self, *arguments, **options):
        """Starts covey (or a program given by its path) without waiting for it."""
        command = list(arguments) if arguments[0].startswith("/") else [program("covey"), *arguments]
        environment = {**self.environment, **options.pop("environment", {})}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   errors="replace", env=environment, cwd=self.folder, start_new_session=True, **options)
        process.begun = time.monotonic()
        self.started.append(process)
        return process

    def finish(self, process, seconds=LONG):
        """Waits for the end of what start() began."""
        try:
            out, err = process.communicate(timeout=seconds * SLOWNESS)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            done = Finished(process.args, "no end", out, err, time.monotonic() - process.begun)
            raise AssertionError(f"{done}\n{self.describe()}") from None
        return Finished(process.args, process.returncode, out, err, time.monotonic() - process.begun)

    def covey(self, *arguments, seconds=LONG, **options):
        return self.finish(self.start(*arguments, **options), seconds)

    def processes(self, *exes):
        """What runs in this sandbox; only these programs, where some are named."""
        # Hosts and packs get little of the environment; what every process has is the home.
        return processes(lambda process: process.environment.get("HOME", "").startswith(self.folder)
                         and (not exes or process.exe in exes))

    def describe(self):
        """For a person who has to find out why a test failed."""
        texts = [f"running: {self.processes()}"]
        for path in sorted(files_below(self.folder)):
            if path.endswith(".log") and os.path.isfile(path):
                with open(path, encoding="utf-8", errors="replace") as file:
                    texts.append(f"--- {path}\n" + "".join(file.readlines()[-40:]))
        return "\n".join(texts)

    def sanitizer_reports(self):
        """Lines of the daemons' logs in which a sanitizer complains."""
        found = []
        for path in files_below(self.folder):
            if path.endswith(".log") and os.path.isfile(path):
                with open(path, encoding="utf-8", errors="replace") as file:
                    found += [f"{path}: {line.strip()}" for line in file if SANITIZER_REPORT.search(line)]
        return found

    def close(self):
        """Ends every process of the sandbox and removes its folders."""
        if self in Sandbox.open:
            Sandbox.open.remove(self)
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.communicate()
        wait_for(self.end_processes, f"the end of all processes in {self.folder}")
        shutil.rmtree(self.folder, ignore_errors=True)

    def end_processes(self):
        """True when there are none."""
        left = self.processes()
        for process in left:
            try:
                process.kill()
            except ProcessLookupError:
                pass
        return not left


class Cluster(Sandbox):
    """`covey up` in a sandbox."""

    def __init__(self, nodes=2, slots=8, arguments=(), seconds=LONG, **environment):
        super().__init__(**environment)
        self.connection = None
        self.respawned = []
        try:
            done = self.covey("up", "--nodes", str(nodes), "--slots", str(slots), *arguments, seconds=seconds)
            assert done.code == 0, f"{done}\n{self.describe()}"
        except BaseException:
            self.close()
            raise

    def controller(self):
        return only(self.processes("coveyd"))

    def agents(self):
        """The agents, without what they fork and have not yet made a host or pack of."""
        found = {process.pid: process for process in self.processes("covey-node")}
        return [found[pid] for pid in sorted(found) if found[pid].parent not in found]

    def agent_of(self, process):
        """The agent above a process of its node."""
        agents = {agent.pid: agent for agent in self.agents()}
        while process.pid not in agents:
            process = Process(process.parent)
        return agents[process.pid]

    def hosts(self, flare_id):
        return self.of_flare(flare_id, "covey-host")

    def packs(self, flare_id):
        return self.of_flare(flare_id, "covey-pack")

    def of_flare(self, flare_id, *exes):
        return [process for process in processes_of_flare(flare_id) if not exes or process.exe in exes]

    def deploy(self, name, file, *arguments):
        return self.expect(OK, "deploy", "--name", name, *arguments, file)

    def expect(self, code, *arguments, **options):
        done = self.covey(*arguments, **options)
        assert done.code == code, f"expected {code}: {done}\n{self.describe()}"
        return done

    def flare(self, *arguments):
        """Starts a flare of what was deployed, and returns its id at once."""
        flare_id = self.expect(OK, "flare", "--detach", *arguments).out.strip()
        assert re.fullmatch(r"[0-9A-Za-z]{26}", flare_id), f"no flare id: {flare_id!r}"
        return flare_id

    @property
    def api(self):
        """The controller's API for outside clients (covey_api.Api)."""
        if self.connection is None:
            import covey_api  # pylint: disable=import-outside-toplevel
            self.connection = covey_api.Api(os.path.join(self.runtime, "covey", "covey.sock"))
        return self.connection

    def get(self, flare_id):
        return self.api.flare(flare_id)

    def wait_nodes(self, count=2):
        """Waits until that many nodes are there and up, whoever was restarted meanwhile."""
        def up():
            ended = [again.args for again in self.respawned if (again.poll() or 0) > 0]
            assert not ended, f"started again, and ended: {ended}\n{self.describe()}"
            try:
                states = [node["state"] for node in self.api.nodes()]
            except self.api.error:
                return False
            return states == ["UP"] * count
        wait_for(up, f"{count} nodes up")

    def kill(self, process):
        """kill -9, and the moment just before it."""
        at = Moment()
        process.kill()
        wait_for(lambda: not process.alive(), f"the death of {process}")
        return at

    def respawn(self, process, without=()):
        """Starts a daemon that was killed again as it was started, less these variables."""
        command = list(process.command)
        if "--ready-fd" in command:  # who waited for that is gone
            at = command.index("--ready-fd")
            del command[at:at + 2]
        environment = {name: value for name, value in process.environment.items() if name not in without}
        with open(os.path.join(self.folder, f"{process.exe}-again-{process.pid}.log"), "ab") as log:
            again = subprocess.Popen(command, executable=program(process.exe), env=environment, cwd=process.cwd,
                                     stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.respawned.append(again)
        return again

    def close(self):
        if self.connection is not None:
            self.connection.close()
        super().close()
        for process in self.respawned:
            process.wait(LONG)

    def wait(self, flare_id, seconds=LONG):
        """The flare at its end, and the exit status of `covey wait`."""
        done = self.covey("wait", "--json", flare_id, seconds=seconds)
        return done.last(), done.code

    def watch(self, flare_id):
        return self.covey("watch", "--json", flare_id).objects()

    def logs(self, flare_id, *arguments):
        return self.expect(OK, "logs", "--json", *arguments, flare_id).logs()

    def wait_logs(self, flare_id, text, count, seconds=LONG):
        """Waits until `count` lines contain a text."""
        def there():
            lines = [line for line in self.logs(flare_id) if text in line["text"]]
            return lines if len(lines) >= count else None
        return wait_for(there, f"{count} lines with {text!r} of flare {flare_id}", seconds)

    def wait_state(self, flare_id, *states, seconds=LONG):
        return wait_for(lambda: (flare := self.get(flare_id))["state"] in states and flare, f"flare {flare_id} in {states}", seconds)


def only(things):
    things = list(things)
    assert len(things) == 1, f"one thing expected, not {things}"
    return things[0]


# ---- leftovers ----

CGROUPS = "/sys/fs/cgroup"


def processes_of_flare(flare_id):
    return processes(lambda process: process.environment.get("COVEY_FLARE_ID") == flare_id)


def cgroups_of_flare(flare_id):
    found = []
    for where, folders, _ in os.walk(CGROUPS):
        found += [os.path.join(where, name) for name in folders if flare_id in name]
    return found


def leftovers(flare_id, sandbox, kept=()):
    """Whatever is left of a flare on this machine; files below the folders `kept` belong to its history."""
    found = [f"process {process}" for process in processes_of_flare(flare_id)]
    found += [f"cgroup {path}" for path in cgroups_of_flare(flare_id)]
    found += [f"shared memory {name}" for name in os.listdir("/dev/shm") if flare_id in name]
    for path in files_below(sandbox.state) | files_below(sandbox.runtime):
        if flare_id in os.path.relpath(path, sandbox.folder) and not path.startswith(tuple(kept) or "\0"):
            found.append(f"file {path}")
    return found


class SystemTest(unittest.TestCase):
    """Assertions about flares. Tests use self.cluster, made once per class, or clusters of their own."""

    NODES, SLOTS, UP_ARGUMENTS, ENVIRONMENT = 2, 8, (), {}
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.cluster = None
        if cls.NODES:
            cls.cluster = Cluster(cls.NODES, cls.SLOTS, cls.UP_ARGUMENTS, **cls.ENVIRONMENT)
            cls.addClassCleanup(cls.cluster.close)

    def tearDown(self):
        """What a failed test has left running must not fail the next one too."""
        if self.cluster and os.path.isdir(self.cluster.folder):
            self.assertEqual(self.cluster.sanitizer_reports(), [])
            running = self.cluster.covey("ps", "--ids").out.split()
            if running:
                self.cluster.covey("cancel", *running)

    def own_cluster(self, nodes=2, slots=8, arguments=(), seconds=LONG, **environment):
        cluster = Cluster(nodes, slots, arguments, seconds, **environment)
        self.addCleanup(cluster.close)
        return cluster

    def sandbox(self, **environment):
        sandbox = Sandbox(**environment)
        self.addCleanup(sandbox.close)
        return sandbox

    def assert_code(self, done, code):
        self.assertEqual(done.code, code, str(done))

    def assert_message(self, done, code, pattern):
        """One clear line on standard error (a hint at --help may follow it), and this status."""
        self.assertEqual(done.code, code, str(done))
        lines = [line for line in done.err.strip().splitlines() if not line.startswith("Try `covey")]
        self.assertEqual(len(lines), 1, f"not one line: {done}")
        self.assertRegex(lines[0], pattern)

    def assert_nothing_left(self, cluster, flare_id, seconds=1):
        """Within a second of its end nothing of a flare is left."""
        kept = [os.path.join(cluster.state, name) for name in ("controller",)]
        try:
            wait_for(lambda: not leftovers(flare_id, cluster, kept), "nothing that is left", promise=seconds)
        except AssertionError as error:
            self.fail(f"{error}: flare {flare_id}: {leftovers(flare_id, cluster, kept)}\n{cluster.describe()}")

    def assert_quiet(self, sandbox, seconds=2):
        """No process of a private cluster is left, and no folder of it."""
        try:
            wait_for(lambda: not sandbox.processes(), "the end of all processes", promise=seconds)
        except AssertionError as error:
            self.fail(f"{error}: still running: {sandbox.processes()}\n{sandbox.describe()}")

    def assert_ended(self, cluster, flare_id, state, code, seconds=LONG):
        """The flare ends so, `covey wait` says so, and nothing is left of it. Returns the flare."""
        flare, status = cluster.wait(flare_id, seconds)
        self.assertEqual((flare["state"], status), (state, code), f"{flare}\n{cluster.describe()}")
        self.assert_nothing_left(cluster, flare_id)
        return flare

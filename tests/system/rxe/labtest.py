"""What the tests in the lab share: whether it can run here, commands with a deadline, and a session of guests."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = os.environ["COVEY_SOURCE_DIR"]
BUILD = os.environ["COVEY_BUILD_DIR"]
LAB = os.path.join(SOURCE, "soft-roce-setup", "lab")
COMMAND_SECONDS = 90
CAN_RUN, CANNOT_RUN = 0, 77


def lab(*arguments, seconds=COMMAND_SECONDS, **options):
    """Runs it to its end."""
    return subprocess.run([LAB, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False,
                          **options)


def skip_where_it_cannot_run():
    said = lab("prepare", seconds=300)
    if said.returncode == CANNOT_RUN:
        print("skipped: " + " ".join(said.stderr.split()))
        sys.exit(CANNOT_RUN)
    if said.returncode != CAN_RUN:
        print(said.stderr)
        sys.exit(1)


def main():
    skip_where_it_cannot_run()
    unittest.main(verbosity=2)


def wait_for(condition, seconds, what):
    """For what tells nobody when it happens: processes that end, files that appear."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def alive_with(mark):
    """Processes whose environment holds this, zombies not counted."""
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if mark.encode() in file.read():
                    found.append(int(pid))
        except OSError:
            pass
    return [pid for pid in found if pid != os.getpid()]


class Session:
    """Guests that stay up; everything said to them has a deadline."""

    def __init__(self, *options):
        self.name = f"test{os.getpid()}"
        self.out = tempfile.mkdtemp(prefix="covey-lab-out-")
        started = lab("up", "--session", self.name, "--time-limit", "280", "--out", self.out, *options, seconds=150)
        self.started = started.stderr
        if started.returncode != 0:
            self.end()
            raise AssertionError(f"lab up ended with {started.returncode}: {started.stderr}")

    def command(self, node, *command):
        return [LAB, "exec", "--session", self.name, node, "--", "timeout", str(COMMAND_SECONDS), *command]

    def run(self, node, *command, environment=None):
        return subprocess.run(self.command(node, *command), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=COMMAND_SECONDS + 10, check=False, env={**os.environ, **(environment or {})})

    def start(self, node, *command, environment=None):
        return subprocess.Popen(self.command(node, *command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, env={**os.environ, **(environment or {})})

    def ask(self, *request):
        return lab(request[0], "--session", self.name, *request[1:])

    def end(self):
        lab("down", "--session", self.name)
        shutil.rmtree(self.out)


def ended(process):
    """Status and output of a process that was started."""
    said, _ = process.communicate(timeout=COMMAND_SECONDS)
    return process.returncode, said


def kill(process):
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.communicate()


def packets(said):
    """Those that lab-proof counted: sent, received."""
    counted = re.search(r"lab-proof: packets over \S+: (\d+) sent, (\d+) received", said)
    return tuple(int(number) for number in counted.groups()) if counted else None

#!/usr/bin/python3
"""covey-node's command line: what it refuses, and how it says so."""
import os
import subprocess
import sys
import tempfile

NODE = os.path.join(os.environ["COVEY_BUILD_DIR"], "bin", "covey-node")


def run(*arguments, **environment):
    return subprocess.run([NODE, *arguments], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **environment})


def check(condition, what):
    if not condition:
        sys.exit("failed: " + what)


def main():
    to = ["--controller", "unix:/nonexistent/socket"]
    refused = [
        ([], "--controller is needed"),
        (to + ["--slots", "0"], "--slots takes a number from 1"),
        (to + ["--slots", "many"], "--slots takes a number from 1"),
        (to + ["--memory", "4X"], "--memory must be a size such as"),
        (to + ["--data-ports", "9-8"], "--data-ports takes FIRST-LAST"),
        (to + ["--network", "pigeon"], "--network is auto, ucx or tcp"),
        (to + ["--name", "a/b"], "a node's name is"),
        (to + ["--isolation", "none"], "--isolation is auto"),
        (to + ["--lifeline-fd", "x"], "--lifeline-fd takes"),
        (to + ["--join-token-file", "/nonexistent/token"], "/nonexistent/token"),
        (to + ["something"], "no argument 'something'"),
        (to + ["--cert", "c.pem"], "--cert and --key go together"),
        (to + ["--cert", "c.pem", "--key", "c.key"], "--cert needs --ca-file"),
        (["--controller", ""], "empty or too long"),
    ]
    for arguments, says in refused:
        done = run(*arguments)
        check(done.returncode == 2, f"{arguments}: exit status {done.returncode}")
        check(says in done.stderr, f"{arguments}: says {done.stderr!r}")
    check(run("--version").stdout.startswith("covey-node "), "--version")
    check("--data-ports" in run("--help").stdout, "--help")
    with tempfile.TemporaryDirectory() as folder:
        own = to + ["--state-dir", folder + "/state", "--runtime-dir", folder + "/run"]
        done = run(*own, "--lifeline-fd", "999")
        check(done.returncode == 1 and "descriptor 999 is no pipe" in done.stderr, "a closed lifeline")
        check(not os.path.exists(folder + "/run"), "a runtime folder that stays")
        done = run(*own, COVEY_FAULT="nonsense")
        check(done.returncode == 2, "an unknown fault point")
        done = run("--controller", "nowhere", "--state-dir", folder + "/state",
                   "--runtime-dir", folder + "/run")
        check(done.returncode == 1 and "nowhere" in done.stderr, "an address that is none")
        check("loop still has" not in done.stderr and "Sanitizer" not in done.stderr, done.stderr)
        check(not os.path.exists(folder + "/run"), "a runtime folder that stays")
    for program in ("covey-host", "covey-pack"):
        done = subprocess.run([os.path.join(os.path.dirname(NODE), program)], capture_output=True, text=True,
                              timeout=120)
        check(done.returncode == 2 and "covey-node" in done.stderr, program + " by hand")


main()

"""lab's command line."""
import argparse
import os
import re
import signal
import sys

from . import client, machine, places, supervise
from .errors import LabError, STATUS_INTERRUPTED, STATUS_USAGE
from .session import Options
from .terminal import Speaker

MAX_GUESTS = 16
RUN_SECONDS = 300
UP_SECONDS = 3600
PASSED_ON = re.compile(r"(UCX|COVEY|LAB_TEST)_")
PASSED_ON_NAMES = {"HOME", "LANG", "TERM"}
NETEM_WORDS = re.compile(r"[A-Za-z0-9.%]+( [A-Za-z0-9.%]+)*$")

DESCRIPTION = """\
Small virtual machines with Soft-RoCE (rxe) devices, made from this machine's own files: what is built here
runs there. Needs no RDMA hardware, no kernel module here and no root. docs/soft-roce.md has the whole story."""

EXAMPLES = """\
In the guests: LAB_NODE (0, 1, ...), LAB_NODES, LAB_ADDRESS, LAB_PEERS (addresses of the others), LAB_RDMA_DEVICE,
LAB_OUT (a folder whose files come home), and the command lab-sync NAME, a barrier of all nodes.

Exit status: the worst of the guests' own, or
  2 bad arguments   77 this machine cannot run the lab   123 a guest was lost (power, panic, hang)
  124 time limit    125 the lab failed                   130 interrupted

Examples:
  lab run -- rdma link
  lab run --guests 3 -- sh -c 'echo $LAB_NODE of $LAB_NODES; lab-sync done'
  lab up; lab exec 0 -- ping -c 1 node1; lab kill 1; lab down"""


class Parser(argparse.ArgumentParser):
    def error(self, message):
        sys.stderr.write(f"lab: {message}; see {self.prog} --help\n")
        raise SystemExit(STATUS_USAGE)


def number(low, high, what):
    def convert(text):
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"\"{text}\" is no number of {what} from {low} to {high}")
        return int(text)
    return convert


def memory(text):
    """A size as Covey's programs take it (covey(7)), in MiB."""
    match = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]+)?)(?:([KMGTP])(?:IB)?|B)?", text.upper())
    mib = int(float(match.group(1)) * 1024 ** " KMGTP".index(match.group(2) or " ") / 1024 ** 2) if match else 0
    if not 256 <= mib <= 65536:
        raise argparse.ArgumentTypeError(f"\"{text}\" is no size from 256M to 64G")
    return mib


def duration(text):
    """A time as Covey's programs take it (covey(7)), in whole seconds."""
    units = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
    match = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]+)?)([a-z]*)", text)
    seconds = int(float(match.group(1)) * units[match.group(2)]) if match and match.group(2) in units else 0
    if not 1 <= seconds <= 604800:
        raise argparse.ArgumentTypeError(f"\"{text}\" is no time from 1s to 7d")
    return seconds


def netem(text):
    if not NETEM_WORDS.match(text):
        raise argparse.ArgumentTypeError(f"\"{text}\" is no specification for tc netem, such as \"loss 1%\" or \"delay 2ms\"")
    return text


def session_name(text):
    if not places.SESSION_NAME.match(text):
        raise argparse.ArgumentTypeError(f"\"{text}\" is no name of letters, digits, - and _")
    return text


def variable(text):
    name, equals, value = text.partition("=")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise argparse.ArgumentTypeError(f"\"{text}\" is neither NAME nor NAME=VALUE")
    return name, value if equals else os.environ.get(name)


def add_machine_options(parser, limit_seconds):
    parser.add_argument("--guests", type=number(1, MAX_GUESTS, "guests"), default=2, metavar="N", help="default 2")
    parser.add_argument("--memory", type=memory, default=2048, metavar="M", help="of each, as 2048M or 2G (default)")
    parser.add_argument("--cpus", type=number(1, 64, "processors"), default=1, metavar="C", help="of each, default 1")
    parser.add_argument("--time-limit", type=duration, default=limit_seconds, metavar="TIME",
                        help=f"from the start of the guests to their end, whatever happens: 90s, 5m (default {limit_seconds}s)")
    parser.add_argument("--netem", type=netem, metavar="SPEC", help="for tc netem in each guest: \"loss 1%%\"")
    parser.add_argument("--out", default="lab-out", metavar="DIR",
                        help="where what is written under $LAB_OUT goes, in a folder per node (default lab-out)")
    parser.add_argument("--quiet", action="store_true", help="say only what went wrong")


def add_session_option(parser):
    parser.add_argument("--session", type=session_name, default="default", metavar="NAME", help="which one; default \"default\"")


def add_environment_option(parser):
    parser.add_argument("--env", type=variable, action="append", default=[], metavar="NAME[=VALUE]",
                        help="for the command; UCX_* and COVEY_* are passed on by themselves")


def parser():
    top = Parser(prog="lab", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)
    run = verbs.add_parser("run", help="run a command on every guest, and end them")
    add_machine_options(run, RUN_SECONDS)
    add_environment_option(run)
    up = verbs.add_parser("up", help="start guests that stay up")
    add_machine_options(up, UP_SECONDS)
    add_session_option(up)
    execute = verbs.add_parser("exec", help="run a command on a node that is up, or on all")
    add_session_option(execute)
    add_environment_option(execute)
    execute.add_argument("node", metavar="NODE", help="0 or node0, or all")
    shell = verbs.add_parser("shell", help="a shell on a node that is up")
    add_session_option(shell)
    shell.add_argument("node", metavar="NODE")
    kill = verbs.add_parser("kill", help="cut a node's power")
    add_session_option(kill)
    kill.add_argument("node", metavar="NODE")
    for verb, says in [("cut", "lose every frame between two nodes"), ("mend", "undo a cut")]:
        two = verbs.add_parser(verb, help=says)
        add_session_option(two)
        two.add_argument("nodes", nargs=2, metavar="NODE")
    for verb, says in [("status", "the nodes that are up"), ("down", "end a session")]:
        add_session_option(verbs.add_parser(verb, help=says))
    prepare = verbs.add_parser("prepare", help="fetch the kernel and try KVM, so that later starts are quick; 77 where the lab "
                               "cannot run")
    prepare.add_argument("--kernel-package", metavar="FILE", help="a Debian kernel package to use instead of apt's")
    prepare.add_argument("--refresh", action="store_true", help="use the kernel package that is the newest now")
    return top


def split_command(arguments):
    """What stands before and after the first --."""
    if "--" in arguments:
        at = arguments.index("--")
        return arguments[:at], arguments[at + 1:]
    return arguments, None


def passed_environment(extra):
    chosen = {name: value for name, value in os.environ.items() if PASSED_ON.match(name) or name in PASSED_ON_NAMES}
    for name, value in extra:
        if value is None:
            raise LabError(f"--env {name}: there is no such variable here", STATUS_USAGE)
        chosen[name] = value
    return chosen


def prepare(arguments, speaker):
    machine.check_tools()
    used, _, acceleration = machine.prepare(speaker.say, arguments.kernel_package, arguments.refresh)
    speaker.say(f"can run: Linux {used.release}, {acceleration.upper()}")
    return 0


def options_of(arguments):
    machine.check_tools()
    return Options(arguments.guests, arguments.memory, arguments.cpus, arguments.netem or "", os.path.abspath(arguments.out))


def obey(arguments, command):
    speaker = Speaker(getattr(arguments, "quiet", False))
    verb = arguments.verb
    if verb == "prepare":
        return prepare(arguments, speaker)
    if verb == "run":
        variables = passed_environment(arguments.env)
        return supervise.run(options_of(arguments), arguments.time_limit, speaker, command, variables)
    if verb == "up":
        return supervise.up(arguments.session, options_of(arguments), arguments.time_limit, speaker)
    if verb == "exec":
        variables = passed_environment(arguments.env)
        if arguments.node == "all":
            return client.run_on_all(arguments.session, supervise.node_count(arguments.session), command, variables)
        return client.run_on_one(arguments.session, arguments.node, command, variables)
    if verb == "shell":
        return client.shell(arguments.session, arguments.node, passed_environment([]))
    if verb in ("cut", "mend"):
        return client.ask(arguments.session, verb, *arguments.nodes)
    if verb == "kill":
        return client.ask(arguments.session, verb, arguments.node)
    return client.ask(arguments.session, verb)


def main(arguments):
    before, command = split_command(arguments)
    top = parser()
    parsed = top.parse_args(before)
    takes_command = parsed.verb in ("run", "exec")
    if takes_command and not command:
        top.error(f"{parsed.verb} takes a command: lab {parsed.verb} ... -- COMMAND")
    if command is not None and not takes_command:
        top.error(f"{parsed.verb} takes no command")
    try:
        return obey(parsed, command)
    except LabError as error:
        Speaker.warn(str(error))
        return error.status
    except KeyboardInterrupt:
        return STATUS_INTERRUPTED
    except BrokenPipeError:  # nobody reads what it prints any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE

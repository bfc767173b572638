#!/usr/bin/python3
"""The rules of the house that a compiler does not check.

Which folder may include which (docs/architecture.md, "Layers"), in which order sub-folders stand ("Order inside a folder" there),
that objects do not include each other in a ring, which folder may use which outside library, what a public header may include, how long a file may be, that text is cut between characters, that no file names a path of somebody's machine, and that the
workers' library links nothing of the control plane. Each rule is also tried on a made-up tree that breaks it.
"""
import os
import re
import subprocess
import tempfile
import unittest

TOP = os.environ.get("COVEY_SOURCE_DIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))

# Folder: (folders whose headers it may include, outside libraries it may use). The longest folder that matches counts.
PUBLIC = "public"  # the headers that are installed
LAYERS = {
    "base": ({"base"}, set()),
    "proto": ({"base", "proto"}, {"protobuf-c"}),
    "rpc": ({"base", "proto", "rpc"}, {"protobuf-c", "nghttp2", "uv", "openssl", "zlib"}),
    "scheduler": ({"base", "scheduler"}, set()),
    "transport/core": ({"base", "transport/core"}, set()),
    "transport/net": ({"base", "transport/core", "transport/net"}, {"ucx", "rdma"}),
    "worker": ({"base", "transport/core", "worker"}, set()),
    "service": ({"base", "proto", "rpc", "scheduler", "transport/core", "transport/net", "worker", "service"},
                {"protobuf-c", "uv", "openssl", "sqlite", "seccomp", "cap", "hwloc", "cyaml", "microhttpd"}),
    "client": ({"base", "proto", "rpc", "client"}, {"protobuf-c", "uv", "openssl", "cyaml"}),
    "bench": ({PUBLIC, "base", "scheduler", "bench", "bench/sim"}, {"mpi", "ucx", "rdma"}),
    "bench/sim": ({PUBLIC, "base", "scheduler", "bench/sim"}, {"zlib"}),
    "examples": ({PUBLIC, "examples"}, {"zlib"}),
    "tests": (None, None),
}

LIBRARIES = {
    "uv": r"uv\.h|uv/", "nghttp2": r"nghttp2/", "openssl": r"openssl/", "zlib": r"zlib\.h",
    "sqlite": r"sqlite3\.h", "protobuf-c": r"protobuf-c/", "ucx": r"uc[pst]/|uct/", "rdma": r"infiniband/|rdma/",
    "seccomp": r"seccomp\.h", "cap": r"sys/capability\.h", "hwloc": r"hwloc\.h|hwloc/", "cyaml": r"cyaml/",
    "microhttpd": r"microhttpd\.h", "mpi": r"mpi\.h", "cunit": r"CUnit/",
}

# The order of sub-folders is written where people read it, and only there: a row for each folder, levels from the bottom up.
ORDER_PAGE = "docs/architecture.md"
ORDER_ROW = re.compile(r"^\| `([a-z/_-]+)/` \| (`[a-z_-]+/`(?:(?:, then |, )`[a-z_-]+/`)*) \|", re.MULTILINE)

# Objects (a header with its source) that include each other in a ring, from before that was checked. May only shrink.
OLD_RINGS = {
    ("rpc/call", "rpc/connection", "rpc/turn"),
    ("rpc/health", "rpc/listener", "rpc/reflection", "rpc/server"),
    ("service/common/config", "service/common/config_internal"),
    ("service/controller/api", "service/controller/api_internal"),
    ("service/controller/controller", "service/controller/internal"),
    ("service/controller/log_tail", "service/controller/logs", "service/controller/logs_internal"),
    ("service/node/node", "service/node/orphans", "service/node/relay"),
    ("service/store/internal", "service/store/store"),
    ("transport/core/agree", "transport/core/comm", "transport/core/engine", "transport/core/flow", "transport/core/transfer"),
    ("transport/core/arena", "transport/core/layout"),
    ("transport/core/host_port", "transport/core/host_port_parts"),
    ("transport/net/internal", "transport/net/net"),
    ("transport/net/router", "transport/net/router_internal"),
}

# What comes with the C library and the kernel. A header that is in neither table fails: a new dependency is a decision.
LIBC = re.compile(
    r"(sys|linux|arpa|net|netinet|bits|asm)/[a-z0-9_/-]+\.h$|"
    r"(argp|assert|byteswap|complex|ctype|cpuid|dirent|dlfcn|elf|endian|err|errno|error|execinfo|fcntl|features|fenv|"
    r"float|fnmatch|ftw|getopt|glob|grp|ifaddrs|immintrin|inttypes|iso646|langinfo|libgen|limits|link|locale|malloc|"
    r"math|mntent|netdb|nl_types|paths|poll|pthread|pty|pwd|regex|sched|search|semaphore|setjmp|signal|spawn|"
    r"stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdio_ext|stdlib|stdnoreturn|string|strings|sysexits|syslog|"
    r"termios|tgmath|threads|time|uchar|unistd|utime|wchar|wctype|wordexp|x86intrin)\.h$")

# The scheduler is pure: no I/O, no threads, no clock of its own. base, proto and scheduler do not log.
FORBIDDEN = {
    "scheduler": re.compile(r"(pthread|threads|time|poll|unistd|fcntl|signal)\.h$|sys/(socket|epoll|time|mman|stat)\.h$|"
                            r"base/(io|log)\.h$"),
    "proto": re.compile(r"base/log\.h$"),
}
MAY_LOG_IN_BASE = {"base/log.c"}

PUBLIC_FOLDERS = ["base/include", "worker/include", "client/include"]
PUBLIC_LIBC = re.compile(r"(stdbool|stddef|stdint|stdarg|inttypes|limits)\.h$|sys/(types|uio)\.h$")

MAX_LINES = 700
LONG_FILES = set()  # path: only with a reason beside it
COUNTED = (".c", ".h", ".py", ".sh", ".cmake")

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
# "%.64s" cuts text at a byte, perhaps in the middle of a character: base/text.h cuts it between two. Folders of a path
# are no text.
BYTE_CUT = re.compile(r'%[-0]*\.[0-9]+s(?!/)')
CUT_IN = ("base/", "client/", "rpc/", "scheduler/", "service/", "transport/", "worker/")

MACHINE_PATH = re.compile(r"(?<![\w./~-])/(?:wo" + r"rk|ho" + r"me/\w+|ro" + r"ot)/[\w.][\w.-]*")

WORKER_MUST_NOT_LINK = re.compile(r"lib(nghttp2|ssl|crypto|sqlite3|uv|ucp|ucs|uct|ucm|protobuf-c|ibverbs|rdmacm)\b")


def tree_files(top):
    """Every file of the project, new ones included, without what is built."""
    if os.path.exists(os.path.join(top, ".git")):
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=top,
                                check=True, capture_output=True).stdout.decode().split("\0")
        return [path for path in listed if path and os.path.isfile(os.path.join(top, path))]
    found = []
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name not in ("build", ".cache", "__pycache__")]
        found += [os.path.relpath(os.path.join(folder, name), top) for name in names]
    return found


def layer_of(path):
    matching = [layer for layer in LAYERS if path.startswith(layer + "/")]
    return max(matching, key=len) if matching else None


def stem_of(path):
    return os.path.splitext(path)[0]


def rings_of(uses):
    """Sets of names that reach each other. uses: {name: names}."""
    def reach(start):
        met, left = set(), [start]
        while left:
            for name in uses.get(left.pop(), ()):
                if name not in met:
                    met.add(name)
                    left.append(name)
        return met
    reached = {name: reach(name) for name in uses}
    return {tuple(sorted(other for other in reached[name] if name in reached.get(other, ())))
            for name in uses if name in reached[name]}


def library_of(name):
    for library, pattern in LIBRARIES.items():
        if re.match(pattern, name):
            return library
    return None


class Tree:
    def __init__(self, top):
        self.top = top
        self.files = tree_files(top)
        self.sources = [path for path in self.files if path.endswith((".c", ".h"))]
        self.public = {path[len(folder) + 1:]: path for folder in PUBLIC_FOLDERS for path in self.files
                       if path.startswith(folder + "/")}

    def text(self, path):
        with open(os.path.join(self.top, path), encoding="utf-8", errors="replace") as file:
            return file.read()

    def owner_of(self, path, quote, name):
        """The layer that an included project header belongs to, or None where it is an outside one."""
        if name in self.public:
            return layer_of(self.public[name])
        if re.match(r"(proto/)?(covey/v\d|grpc|google)/.*\.(pb-c|descriptor)\.h$", name) or name.startswith("proto/"):
            return "proto"
        if layer_of(name):
            return layer_of(name)
        beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
        if quote == '"' and beside in self.files:
            return layer_of(beside)
        return None

    def include_problem(self, path, quote, name):
        layer = layer_of(path)
        if layer is None:
            return "is in no folder that the layer table knows"
        folders, libraries = LAYERS[layer]
        if ".." in name.split("/"):
            return f"includes {name}: write it from the top of the tree"
        forbidden = FORBIDDEN.get(layer)
        if forbidden and forbidden.match(name):
            return f"includes {name}: {layer}/ does neither I/O, logging, threads nor clocks"
        if layer == "base" and name == "base/log.h" and path not in MAY_LOG_IN_BASE:
            return "includes base/log.h: base/ does not log, it returns errors"
        owner = self.owner_of(path, quote, name)
        if folders is None:
            return None
        if owner:
            if owner in folders or (PUBLIC in folders and name in self.public):
                return None
            return f"includes {name}: {layer}/ may not use {owner}/"
        library = library_of(name)
        if library:
            return None if library in libraries else f"includes {name}: {layer}/ may not use {library}"
        if quote == "<" and LIBC.match(name):
            return None
        return f"includes {name}: neither of this project, the C library nor a known dependency"

    def layer_problems(self):
        problems = []
        for path in self.sources:
            for quote, name in INCLUDE.findall(self.text(path)):
                problem = self.include_problem(path, quote, name)
                if problem:
                    problems.append(f"{path}: {problem}")
        return problems

    def sub_folder_orders(self):
        """{folder: {sub-folder: level}}, from the page that says so."""
        if ORDER_PAGE not in self.files:
            return {}
        return {folder: {name.strip("`/"): level for level, names in enumerate(row.split(", then "))
                         for name in names.split(", ")}
                for folder, row in ORDER_ROW.findall(self.text(ORDER_PAGE))}

    def order_problems(self):
        problems = []
        for folder, levels in self.sub_folder_orders().items():
            for path in self.sources:
                parts = path[len(folder) + 1:].split("/")
                if not path.startswith(folder + "/") or len(parts) < 2 or parts[0] == "include":
                    continue
                if parts[0] not in levels:
                    problems.append(f"{path}: {ORDER_PAGE} does not say where {parts[0]}/ stands in {folder}/")
                    continue
                used = {name[len(folder) + 1:].split("/")[0] for _, name in INCLUDE.findall(self.text(path))
                        if name.startswith(folder + "/") and name.count("/") > folder.count("/") + 1}
                for other in sorted(used - {parts[0]}):
                    if levels.get(other, len(levels)) >= levels[parts[0]]:
                        problems.append(f"{path}: {parts[0]}/ may not use {other}/, which does not stand below it")
        return problems

    def rings(self):
        """Objects of a header and its source that include each other in a ring."""
        uses = {}
        for path in self.sources:
            if path.startswith("tests/"):
                continue
            names = [self.public.get(name, name) for _, name in INCLUDE.findall(self.text(path))]
            uses.setdefault(stem_of(path), set()).update(
                stem_of(name) for name in names if name in self.files and stem_of(name) != stem_of(path))
        return rings_of(uses)

    def public_header_problems(self):
        return [f"{path}: a public header includes {name}, which is not one"
                for path in self.public.values() if path.endswith(".h")
                for _, name in INCLUDE.findall(self.text(path))
                if name not in self.public and not PUBLIC_LIBC.match(name)]

    def length_problems(self):
        problems = []
        for path in self.files:
            if path.endswith(COUNTED) and path not in LONG_FILES:
                lines = self.text(path).count("\n")
                if lines > MAX_LINES:
                    problems.append(f"{path}: {lines} lines, more than {MAX_LINES}")
        return problems

    def text_cut_problems(self):
        return [f"{path}: {found} cuts text at a byte: write %.*s and covey_text_fit"
                for path in self.sources if path.startswith(CUT_IN) for found in BYTE_CUT.findall(self.text(path))]

    def machine_path_problems(self):
        return [f"{path}: names a path of one machine: {found.group()}"
                for path in self.files for found in [MACHINE_PATH.search(self.text(path))] if found]


def needed_libraries(library):
    said = subprocess.run(["readelf", "-d", library], check=True, capture_output=True, text=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.+)\]", said)


class TheTree(unittest.TestCase):
    tree = Tree(TOP)

    def test_includes_follow_the_layers(self):
        self.assertEqual(self.tree.layer_problems(), [])

    def test_sub_folders_follow_their_order(self):
        self.assertIn("scheduler", self.tree.sub_folder_orders())
        self.assertEqual(self.tree.order_problems(), [])

    def test_objects_include_each_other_in_no_ring(self):
        rings = self.tree.rings()
        self.assertEqual(rings - OLD_RINGS, set(), "new rings")
        self.assertEqual(OLD_RINGS - rings, set(), "these are mended: take them out of OLD_RINGS")

    def test_public_headers_include_only_public_headers(self):
        self.assertEqual(self.tree.public_header_problems(), [])

    def test_no_file_is_too_long(self):
        self.assertEqual(self.tree.length_problems(), [])

    def test_no_file_names_a_path_of_one_machine(self):
        self.assertEqual(self.tree.machine_path_problems(), [])

    def test_no_text_is_cut_at_a_byte(self):
        self.assertEqual(self.tree.text_cut_problems(), [])

    def test_there_is_something_to_check(self):
        self.assertGreater(len(self.tree.sources), 10)

    def test_workers_library_links_nothing_of_the_control_plane(self):
        library = os.path.join(os.environ.get("COVEY_BUILD_DIR", ""), "lib", "libcovey-worker.so")
        if not os.path.exists(library):
            self.skipTest(f"{library} is not built")
        self.assertEqual([name for name in needed_libraries(library) if WORKER_MUST_NOT_LINK.match(name)], [])


class MadeUpTree(unittest.TestCase):
    """Every rule must say something about a tree that breaks it, and nothing about one that does not."""

    def problems(self, path, text, kind="layer_problems", **others):
        with tempfile.TemporaryDirectory() as top:
            for name, content in [("base/include/covey/status.h", ""), ("worker/include/covey/worker.h", ""),
                                  ("rpc/rpc.h", ""), ("transport/net/net.h", ""), ("transport/core/arena.h", ""),
                                  ("base/log.h", ""), ("scheduler/place.h", ""), *others.get("others", []), (path, text)]:
                os.makedirs(os.path.join(top, os.path.dirname(name)), exist_ok=True)
                with open(os.path.join(top, name), "w", encoding="utf-8") as file:
                    file.write(content)
            return getattr(Tree(top), kind)()

    def test_allowed_includes_pass(self):
        for path, text in [
                ("base/a.c", '#include "base/a.h"\n#include <sys/stat.h>\n#include "covey/status.h"\n'),
                ("rpc/a.c", '#include "rpc/rpc.h"\n#include <nghttp2/nghttp2.h>\n#include <uv.h>\n#include <openssl/ssl.h>\n'),
                ("rpc/a.c", '#include "proto/covey/v1/covey.pb-c.h"\n#include "covey/v1/covey.pb-c.h"\n'),
                ("transport/net/a.c", '#include "transport/core/arena.h"\n#include <ucp/api/ucp.h>\n'),
                ("worker/a.c", '#include "covey/worker.h"\n#include "transport/core/arena.h"\n'),
                ("service/host/a.c", '#include "transport/net/net.h"\n#include "rpc/rpc.h"\n#include <sqlite3.h>\n'),
                ("bench/sim/a.c", '#include "scheduler/place.h"\n#include "base/log.h"\n#include "covey/worker.h"\n'),
                ("examples/hello/a.c", "#include <covey/worker.h>\n#include <stdio.h>\n"),
                ("tests/unit/x/a.c", '#include "transport/net/net.h"\n#include <CUnit/CUnit.h>\n')]:
            self.assertEqual(self.problems(path, text), [], path)

    def test_forbidden_includes_are_found(self):
        for path, text in [
                ("base/a.c", '#include "rpc/rpc.h"'), ("base/a.c", "#include <uv.h>"), ("base/a.c", '#include "base/log.h"'),
                ("base/a.c", '#include "covey/worker.h"'), ("base/a.c", "#include <newlib/new.h>"),
                ("rpc/a.c", '#include "scheduler/place.h"'), ("rpc/a.c", "#include <sqlite3.h>"),
                ("scheduler/a.c", "#include <pthread.h>"), ("scheduler/a.c", '  #  include "base/log.h"'),
                ("scheduler/a.c", "#include <uv.h>"), ("scheduler/a.c", '#include "transport/core/arena.h"'),
                ("transport/core/a.c", '#include "transport/net/net.h"'), ("transport/core/a.c", "#include <ucp/api/ucp.h>"),
                ("transport/net/a.c", '#include "rpc/rpc.h"'), ("transport/net/a.c", "#include <uv.h>"),
                ("worker/a.c", '#include "rpc/rpc.h"'), ("worker/a.c", '#include "transport/net/net.h"'),
                ("worker/a.c", "#include <uv.h>"), ("client/a.c", '#include "scheduler/place.h"'),
                ("client/a.c", '#include "service/x.h"'), ("service/a.c", '#include "client/x.h"'),
                ("service/a.c", "#include <ucp/api/ucp.h>"), ("bench/a.c", '#include "rpc/rpc.h"'), ("bench/sim/a.c", '#include "rpc/rpc.h"'),
                ("examples/a.c", '#include "base/log.h"'), ("examples/a.c", '#include "../rpc/rpc.h"'),
                ("elsewhere/a.c", "#include <stdio.h>")]:
            self.assertNotEqual(self.problems(path, text), [], f"{path}: {text}")

    def test_use_of_a_higher_sub_folder_is_found(self):
        page = (ORDER_PAGE, "| `scheduler/` | `low/`, then `left/`, `right/` | text |\n")
        for path, text, wrong in [
                ("scheduler/low/a.c", '#include "scheduler/low/b.h"\n#include "scheduler/scheduler.h"\n', 0),
                ("scheduler/left/a.c", '#include "scheduler/low/b.h"\n', 0),
                ("scheduler/a.c", '#include "scheduler/right/b.h"\n', 0),
                ("scheduler/low/a.c", '#include "scheduler/left/b.h"\n', 1),
                ("scheduler/left/a.c", '#include "scheduler/right/b.h"\n', 1),
                ("scheduler/low/a.c", '#include "scheduler/unknown/b.h"\n', 1),
                ("scheduler/unknown/a.c", "", 1)]:
            self.assertEqual(len(self.problems(path, text, "order_problems", others=[page])), wrong, f"{path}: {text}")

    def test_ring_of_objects_is_found(self):
        ring = [("rpc/a.c", '#include "rpc/b.h"\n'), ("rpc/b.h", '#include "rpc/c.h"\n')]
        self.assertEqual(self.problems("rpc/c.c", '#include "rpc/a.h"\n', "rings", others=[*ring, ("rpc/a.h", ""), ("rpc/c.h", "")]),
                         {("rpc/a", "rpc/b", "rpc/c")})
        self.assertEqual(self.problems("rpc/c.c", "", "rings", others=[*ring, ("rpc/a.h", ""), ("rpc/c.h", "")]), set())

    def test_public_header_with_a_private_include_is_found(self):
        for name in ["base/log.h", "unistd.h", "covey/private.h"]:
            self.assertNotEqual(self.problems("client/include/covey/client.h", f'#include "{name}"\n',
                                              "public_header_problems"), [], name)
        self.assertEqual(self.problems("client/include/covey/client.h", '#include "covey/status.h"\n#include <stdint.h>\n',
                                       "public_header_problems"), [])

    def test_long_file_is_found(self):
        self.assertNotEqual(self.problems("base/a.c", "\n" * (MAX_LINES + 1), "length_problems"), [])
        self.assertEqual(self.problems("base/a.c", "\n" * MAX_LINES, "length_problems"), [])

    def test_text_that_is_cut_at_a_byte_is_found(self):
        for text in ['"%.64s"', '"\'%-.3s\' is none"']:
            self.assertNotEqual(self.problems("rpc/a.c", text, "text_cut_problems"), [], text)
        for text in ['"%.*s"', '"%s"', '"%.4000s/%s.log"', '"%.3f s"']:
            self.assertEqual(self.problems("rpc/a.c", text, "text_cut_problems"), [], text)

    def test_machine_path_is_found(self):
        for path in ["/wo" + "rk/main/x", "/ho" + "me/somebody/x", "/ro" + "ot/.config"]:
            self.assertNotEqual(self.problems("docs/a.md", f"see {path}.", "machine_path_problems"), [], path)
        self.assertEqual(self.problems("docs/a.md", "see tests/work/x and ~/work/x", "machine_path_problems"), [])


if __name__ == "__main__":
    unittest.main()

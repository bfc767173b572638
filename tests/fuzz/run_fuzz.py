#!/usr/bin/python3
"""run_fuzz.py FOLDER NAME [SECONDS]: builds a fuzzer of tests/fuzz/FOLDER with clang and runs it. Exit 77: no clang.

rpc: NAME is decode or server. files: NAME is a reader of tests/unit/files, which begins with a sound file.
COVEY_FUZZ_SECONDS overrides the time. A finding is left in the build directory, and its path is printed.
"""

import glob
import os
import re
import shutil
import subprocess
import sys

source_dir = os.environ["COVEY_SOURCE_DIR"]
build_dir = os.environ["COVEY_BUILD_DIR"]
of, name = sys.argv[1:3]
seconds = os.environ.get("COVEY_FUZZ_SECONDS") or (sys.argv[3] if len(sys.argv) > 3 else "20")

clang = shutil.which("clang")
if not clang:
    print("skipped: clang is not there")
    sys.exit(77)



def tree(*parts):
    return sorted(glob.glob(os.path.join(source_dir, *parts)))


def sources_of_rpc():
    generated = os.path.join(build_dir, "rpc", "generated")
    protos = os.path.join(build_dir, "tests", "rpc")
    return [generated, protos], [
        *tree("rpc", "*.c"), *tree("tests", "fuzz", "rpc", f"fuzz_{name}.c"), *tree("tests", "component", "rpc", "echo_service.c"), *tree("proto", "*.c"),
        *glob.glob(os.path.join(generated, "**", "*.c"), recursive=True),
        *[os.path.join(protos, f"{proto}.pb-c.c") for proto in ("echo", "tree")]]


def sources_of_files():
    return [os.path.join(build_dir, "proto"), os.path.join(build_dir, "rpc", "generated")], [*tree("tests", "fuzz", "files", "*.c"), *tree("tests", "unit", "files", "readers.c"),
                *tree("bench", "sim", "text.c"), *tree("bench", "sim", "swf.c"), *tree("bench", "sim", "trace.c"),
                *tree("examples", "pagerank", "graph.c"), *tree("service", "common", "config*.c"),
                *tree("service", "controller", "identity.c")]


def write_sound_file(corpus):
    """The one that the reader's own test spoils."""
    with open(tree("tests", "unit", "files", "readers.c")[0], encoding="utf-8") as file:
        text = re.search(rf"reader_{name}_sound\[\] = ((?:\s*\"(?:[^\"\\]|\\.)*\")+);", file.read())[1]
    sound = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', text)).encode().decode("unicode_escape")
    with open(os.path.join(corpus, "sound"), "w", encoding="utf-8") as file:
        file.write(sound)


folder = os.path.join(build_dir, "fuzz", of)
os.makedirs(os.path.join(folder, name), exist_ok=True)
program = os.path.join(folder, "fuzz_" + name)
includes, sources = sources_of_rpc() if of == "rpc" else sources_of_files()
sources += tree("base", "*.c")
headers = tree("base", "*.h") + tree("rpc", "*.h") + tree("service", "common", "*.h")
if of == "files":
    write_sound_file(os.path.join(folder, name))
packages = ["libnghttp2", "libuv", "openssl", "libprotobuf-c", "zlib", "libcyaml"]
flags = subprocess.run(["pkg-config", "--cflags", "--libs", *packages], check=True,
                       stdout=subprocess.PIPE, text=True).stdout.split()

if not os.path.exists(program) or \
        os.path.getmtime(program) < max(map(os.path.getmtime, sources + headers)):
    built = subprocess.run(
        [clang, "-std=gnu17", "-D_GNU_SOURCE", '-DCOVEY_VERSION="fuzz"', "-O1", "-g", "-w",
         "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all",
         "-I", source_dir, "-I", os.path.join(source_dir, "base", "include"),
         f"-DREADER=reader_{name}", *[part for each in includes for part in ("-I", each)], *sources, *flags,
         "-lpthread", "-o", program], stderr=subprocess.PIPE, text=True)
    if built.returncode:
        if "clang_rt.fuzzer" in built.stderr:
            print("skipped: clang has no fuzzer library (libclang-rt-14-dev)")
            sys.exit(77)
        sys.exit(built.stderr)

sys.exit(subprocess.run(
    [program, os.path.join(folder, name), f"-max_total_time={seconds}", "-max_len=8192",
     "-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1",
     f"-artifact_prefix={folder}/{name}-finding-"]).returncode)

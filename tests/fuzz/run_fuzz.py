#!/usr/bin/python3
"""run_fuzz.py NAME [SECONDS]: builds tests/fuzz/rpc/fuzz_NAME.c with clang and runs it. Exit 77: no clang.

COVEY_FUZZ_SECONDS overrides the time. A finding is left in the build directory, and its path is printed.
"""

import glob
import os
import shutil
import subprocess
import sys

source_dir = os.environ["COVEY_SOURCE_DIR"]
build_dir = os.environ["COVEY_BUILD_DIR"]
name = sys.argv[1]
seconds = os.environ.get("COVEY_FUZZ_SECONDS") or (sys.argv[2] if len(sys.argv) > 2 else "20")

clang = shutil.which("clang")
if not clang:
    print("skipped: clang is not there")
    sys.exit(77)

folder = os.path.join(build_dir, "fuzz", "rpc")
os.makedirs(os.path.join(folder, name), exist_ok=True)
program = os.path.join(folder, "fuzz_" + name)
generated = [os.path.join(build_dir, "rpc", "generated"), os.path.join(build_dir, "tests", "rpc")]
sources = sorted(
    glob.glob(os.path.join(source_dir, "base", "*.c")) +
    glob.glob(os.path.join(source_dir, "rpc", "*.c")) +
    [os.path.join(source_dir, "tests", "fuzz", "rpc", f"fuzz_{name}.c"),
     os.path.join(source_dir, "tests", "component", "rpc", "echo_service.c")] +
    glob.glob(os.path.join(generated[0], "**", "*.c"), recursive=True) +
    [os.path.join(generated[1], f"{proto}.pb-c.c") for proto in ("echo", "tree")])
headers = glob.glob(os.path.join(source_dir, "rpc", "*.h"))
packages = ["libnghttp2", "libuv", "openssl", "libprotobuf-c", "zlib"]
flags = subprocess.run(["pkg-config", "--cflags", "--libs", *packages], check=True,
                       stdout=subprocess.PIPE, text=True).stdout.split()

if not os.path.exists(program) or \
        os.path.getmtime(program) < max(map(os.path.getmtime, sources + headers)):
    built = subprocess.run(
        [clang, "-std=gnu17", "-D_GNU_SOURCE", '-DCOVEY_VERSION="fuzz"', "-O1", "-g", "-w",
         "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all",
         "-I", source_dir, "-I", os.path.join(source_dir, "base", "include"),
         *[part for each in generated for part in ("-I", each)], *sources, *flags,
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

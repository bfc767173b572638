#!/usr/bin/python3
"""Covey as other projects get it: installed into a folder, moved, and built against with CMake and with pkg-config.

Installs the build folder COVEY_BUILD_DIR. A library that is not built there is skipped, with that reason.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ["COVEY_BUILD_DIR"]
SOURCE = os.environ["COVEY_SOURCE_DIR"]

# Library: (public header, root of its headers, what an outside project builds with CMake and with make)
LIBRARIES = {
    "covey-worker": ("covey/worker.h", "worker/include", "worker.so"),
    "covey": ("covey/client.h", "client/include", "client"),
}
DEFINED_BY_USERS = {"covey_work"}
SHARED_HEADERS = ["base/include/covey/status.h"]


def run(*command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def built(library):
    return os.path.exists(os.path.join(BUILD, "lib", f"lib{library}.so"))


def skip_reason(library):
    return None if built(library) else f"lib{library}.so is not built in {BUILD}"


def declared(headers):
    """The functions and objects that these headers mark as exported."""
    names = set()
    for header in headers:
        with open(header, encoding="utf-8") as file:
            text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.DOTALL)
        for declaration in re.findall(r"\bCOVEY_API\s([^;]*);", text):
            names.update(re.findall(r"\b(covey_\w+)\s*\(", declaration)[:1])
    return names - DEFINED_BY_USERS


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="covey-install-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        first = os.path.join(cls.folder, "first")
        run("cmake", "--install", BUILD, "--prefix", first)
        # An installed tree may be moved: nothing in it may remember where it was.
        cls.prefix = os.path.join(cls.folder, "moved")
        os.rename(first, cls.prefix)
        found = [folder for folder, _, names in os.walk(cls.prefix) if f"lib{next(filter(built, LIBRARIES))}.so" in names]
        cls.libdir = found[0]
        cls.environment = dict(os.environ, PKG_CONFIG_PATH=os.path.join(cls.libdir, "pkgconfig"),
                               CMAKE_PREFIX_PATH=cls.prefix, LD_LIBRARY_PATH=cls.libdir)

    def for_each_library(self, test):
        for library, facts in LIBRARIES.items():
            with self.subTest(library=library):
                if skip_reason(library):
                    self.skipTest(skip_reason(library))
                test(library, *facts)

    def exercise(self, library, product):
        """What the outside project has built must load, and resolve all it needs."""
        if library == "covey":
            self.assertEqual(run(product, env=self.environment).strip(), "success")
        else:
            run(sys.executable, "-c", "import ctypes, os, sys; ctypes.CDLL(sys.argv[1], os.RTLD_NOW).covey_work", product,
                env=self.environment)
        self.assertIn(f"lib{library}.so.", run("readelf", "-d", product))

    def test_cmake_project_builds_and_runs(self):
        def test(library, _header, _root, product):
            build = os.path.join(self.folder, f"cmake-{library}")
            run("cmake", "-S", os.path.join(HERE, "cmake-project"), "-B", build, f"-DWITH={library}", "-DCMAKE_C_FLAGS=-Werror",
                env=self.environment)
            run("cmake", "--build", build)
            self.exercise(library, os.path.join(build, product))

        self.for_each_library(test)

    def test_makefile_project_builds_and_runs(self):
        def test(library, _header, _root, product):
            out = os.path.join(self.folder, f"make-{library}")
            os.mkdir(out)
            run("make", "-C", os.path.join(HERE, "makefile-project"), product, f"OUT={out}", env=self.environment)
            self.exercise(library, os.path.join(out, product))

        self.for_each_library(test)

    def test_public_header_compiles_alone_as_c_and_as_cxx(self):
        def test(library, header, _root, _product):
            flags = run("pkg-config", "--cflags", library, env=self.environment).split()
            for compiler, standard, language in [("gcc", "c11", "c"), ("g++", "c++17", "c++")]:
                unit = os.path.join(self.folder, f"alone.{language}")
                with open(unit, "w", encoding="utf-8") as file:
                    file.write(f"#include <{header}>\n")
                run(compiler, f"-std={standard}", "-x", language, "-Wall", "-Wextra", "-Wpedantic", "-Werror", *flags,
                    "-fsyntax-only", unit)

        self.for_each_library(test)

    def test_exported_symbols_are_the_declared_ones(self):
        def test(library, header, root, _product):
            said = run("nm", "-D", "--defined-only", os.path.join(self.libdir, f"lib{library}.so"))
            exported = {line.split()[-1] for line in said.splitlines() if " A " not in line}
            self.assertTrue(all("@@" in name for name in exported), f"symbols without a version: {exported}")
            public = declared([os.path.join(SOURCE, root, header)] + [os.path.join(SOURCE, path) for path in SHARED_HEADERS])
            # What user code defines; and what only Covey's own programs use has a version of its own.
            public -= {"covey_work"}
            self.assertEqual({name.split("@")[0] for name in exported if not name.endswith("_INTERNAL")}, public)

        self.for_each_library(test)

    def test_shared_object_has_its_names(self):
        def test(library, *_facts):
            real = os.path.basename(os.path.realpath(os.path.join(self.libdir, f"lib{library}.so")))
            self.assertRegex(real, rf"^lib{library}\.so\.\d+\.\d+\.\d+$")
            self.assertRegex(run("readelf", "-d", os.path.join(self.libdir, real)), rf"SONAME.*\[lib{library}\.so\.\d+\]")

        self.for_each_library(test)

    def test_installed_files_name_no_path_of_the_build(self):
        for folder, _, names in os.walk(self.prefix):
            for name in names:
                if name.endswith((".pc", ".cmake", ".h")):
                    with open(os.path.join(folder, name), encoding="utf-8") as file:
                        text = file.read()
                    for path in [SOURCE, BUILD, "/first"]:
                        self.assertNotIn(path, text, name)

    def test_man_pages_are_installed(self):
        pages = sorted(name for name in os.listdir(os.path.join(SOURCE, "docs", "man")))
        installed = sorted(name for _, _, names in os.walk(os.path.join(self.prefix, "share", "man")) for name in names)
        self.assertEqual(installed, pages)

    def test_programs_find_their_libraries(self):
        folder = os.path.join(self.prefix, "bin")
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            self.assertNotIn("not found", run("ldd", os.path.join(folder, name)), name)


if __name__ == "__main__":
    if os.environ.get("COVEY_SANITIZE"):
        print("skipped: an outside project is not built with sanitizers")
        sys.exit(77)
    if not any(map(built, LIBRARIES)):
        print("skipped: " + "; ".join(map(skip_reason, LIBRARIES)))
        sys.exit(77)
    unittest.main()

#!/usr/bin/python3
"""Shared objects whose loading is not simple: threads of their own, constructors that wait, variables for the loader."""
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from covey_system import CANCELLED, FAILED, OK, SANITIZED, SOURCE, SystemTest, program, worker

INCLUDES = [f"-I{SOURCE}/worker/include", f"-I{SOURCE}/base/include"]

# A thread that is made at load answers; a worker without it would wait for ever.
THREADS = """
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static int asked[2], answers[2];
static void *answer(void *none)
{
    char c;
    while (read(asked[0], &c, 1) == 1 && write(answers[1], &c, 1) == 1)
        ;
    return none;
}
__attribute__((constructor)) static void start(void)
{
    pthread_t thread;
    if (pipe(asked) || pipe(answers) || pthread_create(&thread, NULL, answer, NULL))
        abort();
    printf("constructed\\n");
}
int ask(void)
{
    char c = 'x';
    alarm(60);
    return write(asked[1], &c, 1) == 1 && read(answers[0], &c, 1) == 1 ? 0 : 1;
}
"""
WORK = "#include <covey/worker.h>\n"

PRELOADS = unittest.skipIf(SANITIZED, "a sanitizer wants to be the first library, and may have a thread of its own")


class Built(SystemTest):
    SLOTS = 4

    def build(self, name, text, *flags):
        """A shared object of this C text, in the cluster's folder."""
        source, made = (os.path.join(self.cluster.folder, file) for file in (name + ".c", name + ".so"))
        with open(source, "w", encoding="utf-8") as file:
            file.write(text)
        subprocess.run(["cc", "-g", "-shared", "-fPIC", "-Wl,--unresolved-symbols=ignore-all", *INCLUDES, source, "-o", made, *flags],
                       check=True)
        return made

    def run_code(self, count, *arguments, code=OK):
        return self.cluster.expect(code, "run", "-q", "-n", str(count), *arguments, seconds=120)


class Loading(Built):
    def test_threads_made_at_load_are_there_in_each_worker(self):
        code = self.build("threads", WORK + THREADS + "int covey_work(struct covey_ctx *c) { (void)c; return ask(); }\n")
        # Each worker has loaded it, and nothing is told of the time that it was loaded for nothing.
        self.assertEqual(sorted(self.run_code(4, code).out.splitlines()), [f"[{rank}] constructed" for rank in range(4)])
        self.assertEqual(self.run_code(2, "--worker", "thread", "--placement", "strict-pack", code).out, "[0] constructed\n")

    @PRELOADS
    def test_threads_of_a_preloaded_library(self):
        library = self.build("pool", THREADS)
        code = self.build("user", WORK + "int ask(void);\nint covey_work(struct covey_ctx *c) { (void)c; return ask(); }\n")
        preload = ("--env", f"LD_PRELOAD={library}")
        self.assertEqual(self.run_code(2, "--worker", "thread", "--placement", "strict-pack", *preload, code).out, "[0] constructed\n")
        done = self.run_code(2, *preload, code, code=FAILED)
        self.assertRegex(done.err, "what LD_PRELOAD names made 1 thread while it was loaded, which a fork would lose; "
                                   "use --worker thread or an executable")

    def test_library_path_and_preload(self):
        """They act on shared objects, as on programs."""
        folder = os.path.join(self.cluster.folder, "libraries")
        os.mkdir(folder)
        for name, value in (("first", 3), ("second", 4)):
            os.rename(self.build(name, f"int value(void) {{ return {value}; }}\n"), os.path.join(folder, f"lib{name}.so"))
        code = self.build("needs", WORK + "#include <stdio.h>\nint value(void);\n"
                          "int covey_work(struct covey_ctx *c) { (void)c; printf(\"%d\\n\", value()); return 0; }\n",
                          f"-L{folder}", "-lfirst")
        self.assertRegex(self.run_code(1, code, code=FAILED).err, "libfirst.so: cannot open shared object file")
        path = ("--env", f"LD_LIBRARY_PATH={folder}")
        for kind in ("process", "thread"):
            self.assertEqual(self.run_code(2, "--worker", kind, *path, code).out.count("] 3\n"), 2)
            if not SANITIZED:
                done = self.run_code(2, "--worker", kind, *path, "--env", f"LD_PRELOAD={folder}/libsecond.so", code)
                self.assertEqual(done.out.count("] 4\n"), 2, str(done))
        self.assertRegex(self.run_code(1, code, code=FAILED).err, "libfirst.so: cannot open", "it was that flare's alone")

    def test_libraries_beside_the_code(self):
        """By a RUNPATH that begins with $ORIGIN."""
        folder = os.path.join(self.cluster.folder, "app")
        os.makedirs(os.path.join(folder, "lib"))
        os.rename(self.build("beside", "int value(void) { return 5; }\n"), os.path.join(folder, "lib", "libbeside.so"))
        text = WORK + "#include <stdio.h>\nint value(void);\nint covey_work(struct covey_ctx *c) { (void)c; printf(\"%d\\n\", value()); return 0; }\n"
        code = os.path.join(folder, "app.so")
        os.rename(self.build("app", text, f"-L{folder}/lib", "-lbeside", "-Wl,-rpath,$ORIGIN/lib"), code)
        for kind in ("process", "thread"):
            self.assertEqual(self.run_code(2, "--worker", kind, code).out.count("] 5\n"), 2)
        self.cluster.deploy("app", code)
        os.rename(code, code + ".moved")
        done = self.cluster.expect(FAILED, "flare", "-q", "app")
        self.assertRegex(done.err, r"libbeside.so: cannot open shared object file: No such file or directory "
                                   r"\(\$ORIGIN names nothing here: the file is not on this node where it was deployed from\)")

    @PRELOADS
    def test_what_the_loader_says_is_the_flares(self):
        code = self.build("plain", WORK + "int covey_work(struct covey_ctx *c) { (void)c; return 0; }\n")
        done = self.run_code(2, "--env", "LD_PRELOAD=/no/such/library.so", code)
        self.assertRegex(done.err, r"(?m)^\[0\] ERROR: ld.so: object '/no/such/library.so' from LD_PRELOAD cannot be preloaded")

    def test_allocator_is_told(self):
        code = self.build("malloc", WORK + "#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n"
                          "int covey_work(struct covey_ctx *c) { (void)c; unsigned char *p = malloc(100);\n"
                          "printf(\"%d %d\\n\", p[0], p[99]); fflush(stdout); _exit(0); }\n")
        if not SANITIZED:
            self.assertEqual(self.run_code(2, "--env", "MALLOC_PERTURB_=85", code).out.count("] 170 170\n"), 2)

    def test_pack_that_began_again_keeps_its_name(self):
        self.cluster.deploy("named", worker("act.so"), "--env", "MALLOC_ARENA_MAX=1")
        flare_id = self.cluster.flare("-n", "2", "--param", "spin", "named")
        self.cluster.wait_logs(flare_id, "is at work", 2)
        found = self.cluster.of_flare(flare_id, "covey-pack")
        packs = [process for process in found if "again" in process.command]
        self.assertEqual([(process.name, process.command[0]) for process in packs], [("covey-pack", program("covey-pack"))])
        titles = [" ".join(process.command).rstrip() for process in found if process not in packs]
        self.assertEqual(sorted(titles), [f"covey-worker named rank {rank} of 2 flare {flare_id}" for rank in range(2)])
        self.cluster.expect(OK, "cancel", flare_id)
        self.cluster.expect(CANCELLED, "wait", "-q", flare_id)


class Hanging(Built):
    """Code whose loading does not come to an end. It is said in 8 or 9 tenths of the time that the controller waits."""

    ENVIRONMENT = {"COVEY_PREPARE_TIMEOUT": "10s", "COVEY_PREPARE_ATTEMPTS": "1"}

    def test_constructor_that_never_returns(self):
        body = {"spins": "for (;;) __asm__ volatile(\"\");", "waits": "for (;;) pause();"}
        for name, text in body.items():
            with self.subTest(constructor=name):
                code = self.build(name, WORK + "#include <unistd.h>\nvoid hang_here(void);\n"
                                  f"void hang_here(void) {{ {text} }}\n"
                                  "__attribute__((constructor)) static void start(void) { hang_here(); }\n"
                                  "int covey_work(struct covey_ctx *c) { (void)c; return 0; }\n")
                done = self.run_code(1, code, code=FAILED)
                self.assertRegex(done.err, rf"definition {name}, pack 0: loading the code has not come to an end for [5-9]\.\d s, "
                                           "a constructor does not return")
                if not SANITIZED:  # which stands between
                    self.assertRegex(done.err, r"it is in .*hang_here \(the code\+0x[0-9a-f]+\)")

    def test_constructor_that_blocks_signals(self):
        code = self.build("deaf", WORK + "#include <signal.h>\n#include <unistd.h>\n"
                          "__attribute__((constructor)) static void start(void)\n"
                          "{ sigset_t all; sigfillset(&all); sigprocmask(SIG_SETMASK, &all, NULL); for (;;) pause(); }\n"
                          "int covey_work(struct covey_ctx *c) { (void)c; return 0; }\n")
        done = self.run_code(1, code, code=FAILED)
        self.assertRegex(done.err, r"not ready within 9000 ms: pack 0, which loads the code, and is waiting in \w+")


if __name__ == "__main__":
    unittest.main()

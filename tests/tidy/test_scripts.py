"""scripts/on-debian and scripts/install-deps report an error and its remedy in one line. CI runs their good cases.
scripts/compiles-alone and scripts/lint find faults, and do not look again at what passed."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ON_DEBIAN = ROOT / "scripts/on-debian"


def run(*command, **environment):
    """Without CPNS_BASE, which names a commit of this tree and not of the small ones here."""
    inherited = {name: value for name, value in os.environ.items() if name != "CPNS_BASE"}
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60,
                          env={**inherited, **{name: str(value) for name, value in environment.items()}})


class OnDebian(unittest.TestCase):
    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.folder = pathlib.Path(held.name)

    def needs_root(self):
        if os.getuid() != 0:
            self.skipTest("it asks for root first")

    def test_help_and_usage(self):
        helped = run(ON_DEBIAN, "--help")
        self.assertEqual((helped.returncode, helped.stderr), (0, ""))
        self.assertIn("scripts/on-debian 13 make demo", helped.stdout)
        self.assertEqual(run(ON_DEBIAN).returncode, 2)
        self.assertEqual(run(ON_DEBIAN, "13").returncode, 2)
        unknown = run(ON_DEBIAN, "buster", "true")
        self.assertEqual(unknown.returncode, 2)
        self.assertEqual(unknown.stderr, "on-debian: 'buster' is not one of bookworm, trixie, 12, 13, other, same\n")
        refused = run(ON_DEBIAN, "--share", self.folder / "nowhere", "13", "true")
        self.assertEqual((refused.returncode, refused.stderr), (2, f"on-debian: --share: '{self.folder}/nowhere' is not a folder\n"))

    def test_not_root(self):
        self.needs_root()
        # The tree may be in a folder that others do not see.
        script = shutil.copy(ON_DEBIAN, self.folder / "on-debian")
        self.folder.chmod(0o755)
        refused = run("setpriv", "--reuid", "65534", "--clear-groups", "bash", script, "13", "true")
        self.assertEqual(refused.returncode, 77, refused.stderr)
        self.assertIn("run it as root", refused.stderr)

    def test_a_tool_that_is_missing(self):
        self.needs_root()
        tools = self.folder / "bin"
        tools.mkdir()
        for name in ("bash", "id", "sed", "rm", "dirname"):
            (tools / name).symlink_to(shutil.which(name))
        refused = run(shutil.which("bash"), ON_DEBIAN, "13", "true", PATH=tools)
        self.assertEqual(refused.returncode, 77, refused.stderr)
        self.assertEqual(refused.stderr, "on-debian: the command debootstrap is missing; scripts/install-deps --ci installs it\n")

    def test_no_mirror(self):
        self.needs_root()
        if not shutil.which("debootstrap"):
            self.skipTest("debootstrap is not installed")
        settings = self.folder / "apt.conf"
        settings.write_text(f'Dir::Etc::SourceList "/dev/null";\nDir::Etc::SourceParts "{self.folder}/none";\n')
        refused = run(ON_DEBIAN, "13", "true", APT_CONFIG=settings, ON_DEBIAN_CACHE=self.folder / "cache")
        self.assertEqual(refused.returncode, 77, refused.stderr)
        self.assertIn("names no mirror", refused.stderr)
        self.assertEqual([p.name for p in (self.folder / "cache").iterdir()], ["trixie.lock"], "nothing is left")


    def test_a_mirror_that_does_not_answer(self):
        self.needs_root()
        if not shutil.which("debootstrap"):
            self.skipTest("debootstrap is not installed")
        (self.folder / "list").write_text("deb [trusted=yes] http://127.0.0.1:9/debian stable main\n")
        settings = self.folder / "apt.conf"
        settings.write_text(f'Dir::Etc::SourceList "{self.folder}/list";\nDir::Etc::SourceParts "{self.folder}/none";\n')
        refused = run(ON_DEBIAN, "13", "true", APT_CONFIG=settings, ON_DEBIAN_CACHE=self.folder / "cache", http_proxy="")
        self.assertEqual(refused.returncode, 77, refused.stderr)
        self.assertIn("debootstrap cannot make trixie: E: ", refused.stderr)
        self.assertIn("http://127.0.0.1:9/debian/", (self.folder / "cache/debootstrap.log").read_text())
        self.assertEqual(sorted(p.name for p in (self.folder / "cache").iterdir()), ["debootstrap.log", "trixie.lock"], "nothing is left")


class InstallDeps(unittest.TestCase):
    def test_the_list_has_one_name_for_each_package(self):
        listed = run(ROOT / "scripts/install-deps", "--list")
        self.assertEqual(listed.returncode, 0, listed.stderr)
        names = listed.stdout.split()
        self.assertNotIn("|", listed.stdout)
        self.assertEqual(sum(n.startswith("libboost1.") for n in names), 1)
        self.assertGreater(len(names), 20)


class EachFile(unittest.TestCase):
    """scripts/compiles-alone and scripts/lint in a small tree of its own, with a database that names one source."""

    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.folder = pathlib.Path(held.name)
        self.tree = self.folder / "tree"
        self.make(self.tree)

    def make(self, tree):
        shutil.copytree(ROOT / "scripts", tree / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / ".clang-tidy", tree)
        self.write(tree, "base/one.cpp", '#include "base/one.hpp"\nint one() { return 1; }\n')
        self.write(tree, "base/one.hpp", "#pragma once\nint one();\n")
        self.write(tree, "build/CMakeCache.txt", f"CMAKE_HOME_DIRECTORY:INTERNAL={tree}\n")
        command = f"g++ -std=c++20 -I{tree} -o base/CMakeFiles/base.dir/one.cpp.o -c {tree}/base/one.cpp"
        self.write(tree, "build/compile_commands.json",
                   json.dumps([{"directory": f"{tree}/build", "command": command, "file": f"{tree}/base/one.cpp"}]))
        self.write(tree, ".gitignore", "/build/\n__pycache__/\n")
        self.git("init", "-q", "-b", "main", tree=tree)
        self.commit(tree)

    def write(self, tree, name, text):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)

    def git(self, *words, tree):
        done = run("git", "-C", tree, "-c", "user.name=t", "-c", "user.email=t@example.org", *words)
        self.assertEqual(done.returncode, 0, done.stderr)

    def commit(self, tree):
        self.git("add", "-A", tree=tree)
        self.git("commit", "-q", "--allow-empty", "-m", "more", tree=tree)

    def script(self, name, *words, tree=None, **more):
        tree = tree or self.tree
        return run(tree / "scripts" / name, *words, CPNS_CACHE=self.folder / "cache", **more)

    def test_help_and_usage(self):
        for name in ("compiles-alone", "lint"):
            helped = self.script(name, "--help")
            self.assertEqual((helped.returncode, helped.stderr), (0, ""))
            self.assertIn(f"scripts/{name}", helped.stdout)
            self.assertEqual(self.script(name, "--unknown").returncode, 2)
        self.assertEqual(self.script("compiles-alone", self.folder).returncode, 1, "not configured")

    def alone(self, tree=None):
        done = self.script("compiles-alone", (tree or self.tree) / "build", tree=tree)
        return done.returncode, done.stdout

    def test_what_passed_is_not_compiled_again_in_another_clone_either(self):
        self.assertIn("1 files in", self.alone()[1], "the header is compiled as the first thing in its source")
        self.assertIn("1 passed before", self.alone()[1])
        self.make(self.folder / "another")
        self.assertIn("1 passed before", self.alone(self.folder / "another")[1])
        self.write(self.tree, "base/one.hpp", "#pragma once\nint one();\nint two();\n")
        self.assertIn("0 passed before", self.alone()[1])

    def test_a_header_that_takes_an_include_from_another_is_named(self):
        self.write(self.tree, "base/two.hpp", "#pragma once\nstd::string two();\n")
        self.write(self.tree, "base/one.cpp",
                   '#include "base/one.hpp"\n#include <string>\n#include "base/two.hpp"\nint one() { return 1; }\n')
        code, said = self.alone()
        self.assertEqual(code, 1)
        self.assertIn("base/two.hpp: base/two.hpp:2:6: error:", said)
        self.assertIn("1 failed", self.alone()[1], "a failure is not remembered as passed")

    def lint(self, *words, **more):
        return self.script("lint", *words, self.tree / "build", **more)

    def test_lint_checks_what_differs(self):
        if not shutil.which("clang-tidy"):
            self.skipTest("clang-tidy is not installed")
        nothing = self.lint()
        self.assertEqual(nothing.returncode, 0, nothing.stdout)
        self.assertIn("no git history", nothing.stdout)
        self.commit(self.tree)
        self.assertIn("0 sources", self.lint().stdout)
        # A header is checked by way of its source.
        self.write(self.tree, "base/one.hpp",
                   "#pragma once\n#include <string>\nint one();\ninline bool f(std::string s) { return s.empty(); }\n")
        found = self.lint()
        self.assertEqual(found.returncode, 1, found.stdout)
        self.assertIn("base/one.hpp:4:", found.stdout)
        self.assertIn("performance-unnecessary-value-param", found.stdout)
        self.assertIn("not checked: base/one.cpp", self.lint(CPNS_LINT_S=0).stdout)
        self.commit(self.tree)
        self.commit(self.tree)
        self.assertIn("0 sources", self.lint().stdout, "HEAD~1 has it too")
        self.assertIn("1 sources", self.lint(CPNS_BASE="HEAD~2").stdout)
        self.assertEqual(self.lint("--all").returncode, 1)
        self.assertIn("no such commit", self.lint(CPNS_BASE="none").stderr)


class GetPrometheus(unittest.TestCase):
    def test_usage_and_a_cache_without_it(self):
        script = ROOT / "scripts/get-prometheus"
        self.assertEqual(run(script, "--help").returncode, 2)
        with tempfile.TemporaryDirectory() as empty:
            refused = run(script, "--offline", CPNS_CACHE=empty)
            self.assertEqual((refused.returncode, refused.stdout), (77, ""))
            self.assertIn("run scripts/get-prometheus once, with a network\n", refused.stderr)
            self.assertEqual(os.listdir(empty), [])


if __name__ == "__main__":
    unittest.main()

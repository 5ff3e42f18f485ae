"""scripts/on-debian and scripts/install-deps say what is wrong, and what to do, in one line; what they do when all is well, CI sees."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ON_DEBIAN = ROOT / "scripts/on-debian"


def run(*command, **environment):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60,
                          env={**os.environ, **{name: str(value) for name, value in environment.items()}})


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
        self.assertEqual(unknown.stderr, "on-debian: 'buster' is not one of bookworm, trixie, 12, 13, other\n")

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


if __name__ == "__main__":
    unittest.main()

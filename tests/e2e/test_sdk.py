#!/usr/bin/env python3
"""The SDK for authors of radios: the installed package, and the commands of docs/plugin-guide.md, run word for word."""
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["CPNS_BUILD"])
SHIPPED = "/opt/cpns"  # the prefix that the guide names


def guide_commands():
    text = (ROOT / "docs/plugin-guide.md").read_text()
    section = text.split("## In an afternoon", 1)[1]
    return re.search(r"```sh\n(.*?)```", section, re.S).group(1)


class Sdk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="cpns-sdk-")
        cls.here = pathlib.Path(cls.folder.name)
        cls.prefix = cls.here / "prefix"
        cls.env = {k: v for k, v in os.environ.items() if not k.startswith("CPNS_")}
        done = subprocess.run(["cmake", "--install", str(BUILD), "--prefix", str(cls.prefix)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def shell(self, script, cwd, seconds=200):
        done = subprocess.run(["bash", "-euc", script], cwd=cwd, env=self.env, capture_output=True, text=True, timeout=seconds)
        self.assertEqual(done.returncode, 0, script + "\n" + done.stdout[-4000:] + done.stderr[-4000:])
        return done.stdout

    def empty(self, name):
        folder = self.here / name
        folder.mkdir()
        return folder

    def test_the_guide_word_for_word(self):
        for lang in ("c", "c++"):
            with self.subTest(lang):
                commands = guide_commands().replace(SHIPPED, str(self.prefix))
                self.assertIn("--lang c\n", commands)
                began = time.monotonic()
                out = self.shell(commands.replace("--lang c\n", f"--lang {lang}\n"), self.empty("guide-" + lang))
                took = time.monotonic() - began
                self.assertIn("0 failed", out)
                self.assertIn("keyed    3", out)
                print(f"{lang}: {took:.0f} s", end=" ", flush=True)
                self.assertLess(took, 300)

    def test_pkg_config_and_a_compiler_are_enough(self):
        folder = self.empty("bare")
        example = self.prefix / "share/cpns/examples/c/unixgram.c"
        self.shell(f"PKG_CONFIG_PATH={self.prefix}/share/pkgconfig\nexport PKG_CONFIG_PATH\n"
                   "cc -Wall -Wextra -Werror -std=c11 -shared -fPIC -fvisibility=hidden $(pkg-config --cflags cpns-transport-sdk) "
                   f"{example} -o bare.so -pthread", folder)
        said = json.loads(self.shell(f"{self.prefix}/bin/cpns transport show ./bare.so --format json", folder))
        self.assertEqual([p["name"] for p in said[0]["parameters"]], ["folder", "mtu"])

    def test_headers_of_the_interface_are_c_and_cpp_each_alone(self):
        folder = self.empty("headers")
        include = self.prefix / "include"
        for header in sorted(include.rglob("*.h")):
            name = header.relative_to(include)
            for compiler in ("cc -std=c11", "cc -std=c11 -fshort-enums", "c++ -std=c++20", "c++ -std=c++20 -fshort-enums"):
                with self.subTest(f"{name} {compiler}"):
                    unit = folder / ("one.c" if compiler.startswith("cc ") else "one.cpp")
                    unit.write_text(f"#include <{name}>\n")
                    self.shell(f"{compiler} -Wall -Wextra -Wpedantic -Wno-unused-function -Werror -fsyntax-only -I{include} {unit}", folder)

    def test_no_file_for_authors_names_the_source_tree(self):
        share = self.prefix / "share"
        folders = (self.prefix / "include/cpns", share / "cpns/examples", share / "pkgconfig", self.prefix / "lib/cmake")
        files = [f for folder in folders for f in folder.rglob("*") if f.is_file()]
        self.assertGreater(len(files), 25)
        for file in sorted(files) + [share / "doc/cpns/plugin-guide.md", share / "doc/cpns/transport-check.md"]:
            with self.subTest(str(file.relative_to(self.prefix))):
                text = file.read_text()
                for path in (str(ROOT), str(BUILD), "plugins/", "tests/"):
                    self.assertNotIn(path, text)

    def test_the_installed_program_has_its_radios(self):
        out = self.shell(f"{self.prefix}/bin/cpns transport list", self.here)
        for name in ("tcp", "loopback", "ble"):
            self.assertIn(str(self.prefix / "lib/cpns/transports" / f"{name}.so"), out)

    def test_a_radio_that_cannot_be_created_is_reported_in_one_line(self):
        folder = self.empty("refused")
        (folder / "there").mkdir()
        (folder / "there/file").touch()
        for words, says in (("'A b'", "is not a valid name"), ("tcp", "already"), ("there", "is there already"),
                            ("x --lang pascal", "pascal"), ("x --folder /proc/nowhere/x", "/proc/nowhere/x")):
            with self.subTest(words):
                done = subprocess.run(["bash", "-c", f"{self.prefix}/bin/cpns transport new {words}"], cwd=folder, env=self.env,
                                      capture_output=True, text=True, timeout=20)
                self.assertIn(done.returncode, (1, 2))
                self.assertIn(says, done.stderr)
        self.assertEqual(sorted(p.name for p in folder.iterdir()), ["there"], "no half-created folder is left")


if __name__ == "__main__":
    unittest.main()

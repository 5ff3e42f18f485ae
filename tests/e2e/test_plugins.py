"""A broken radio is refused with one clear line, while the working one next to it serves its PNEs."""

import json
import os
import pathlib
import subprocess
import time
import unittest

from support.case import E2ECase
from support.process import cpns_binary

BAD = pathlib.Path(os.environ.get("CPNS_BAD_PLUGINS") or pathlib.Path(cpns_binary()).parents[1] / "tests/unit/plugins/bad")

REFUSED = {  # name of the bad plugin, and the message of the gateway
    "other_abi": "is built for interface version 2.2, this program has 1.2",
    "missing_symbol": "exports no symbol cpns_transport_entry: it is not a radio plugin",
    "crash_in_open": "was killed by signal 11 (Segmentation fault) while it was probed; it is not loaded",
    "abort_in_open": "was killed by signal 6 (Aborted) while it was probed; it is not loaded",
    "exit_in_open": "ended with exit code 0 while it was probed; it is not loaded",
    "eats_memory": "used more than 512 MiB of memory while it was probed; it is not loaded",
    "loop_in_open": "did not finish load, open and close within 6000 ms; it is not loaded",
}


class Plugins(E2ECase):
    def transport(self, *words, folder=""):
        env = {**os.environ, "CPNS_PLUGIN_PATH": str(folder)}
        done = subprocess.run([cpns_binary(), "transport", *words], env=env, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def test_list_and_show_print_json(self):
        folder = self.home(devices=1).folder / "radios"
        folder.mkdir()
        (folder / "script.so").write_text("#!/bin/sh\n")
        code, said, _ = self.transport("list", "--json", folder=folder)
        self.assertEqual(code, 1, "one radio cannot be loaded")
        radios = {r["name"]: r for r in json.loads(said)}
        self.assertEqual(radios["script"]["file"], str(folder / "script.so"))
        self.assertIn("it is not a shared object", radios["script"]["error"])
        self.assertNotIn("error", radios["tcp"])
        code, said, _ = self.transport("show", "tcp", "--json")
        self.assertEqual(code, 0)
        shown = json.loads(said)
        self.assertEqual([(r["name"], r["version"], r["interface"]) for r in shown],
                         [("tcp", radios["tcp"]["version"], radios["tcp"]["interface"])])
        self.assertIn("listen", [p["name"] for p in shown[0]["parameters"]])
        self.assertEqual(self.transport("show", "tcp", "--format", "json")[1], said)
        self.assertEqual(self.transport("show", "tcp", "--json", "--format", "text")[0], 2)

    def test_broken_radios_do_not_disturb_a_working_one(self):
        home = self.home(devices=2)
        good = home.gateway["transports"]
        no_elf = home.folder / "script.so"
        no_elf.write_text("#!/bin/sh\necho hello\n")
        elsewhere = home.folder / "elsewhere.so"
        elsewhere.write_bytes((BAD / "prints.so").read_bytes()[:18] + b"\xb7\x00" + (BAD / "prints.so").read_bytes()[20:])
        files = {kind: BAD / f"{kind}.so" for kind in REFUSED}
        files |= {"script": no_elf, "elsewhere": elsewhere, "nowhere": home.folder / "nowhere.so"}
        for kind in REFUSED:
            self.assertTrue(files[kind].exists(), files[kind])
        home.gateway["transports"] = [{"name": kind, "plugin": str(file)} for kind, file in files.items()] + good
        home.write()
        begun = time.monotonic()
        home.start()
        self.assertLess(time.monotonic() - begun, 15)
        for kind, says in (REFUSED | {"script": "it is not a shared object", "elsewhere": "it is built for another machine: AArch64",
                                         "nowhere": "file not found"}).items():
            with self.subTest(kind):
                said = home.events.find(role="gateway", event="radio-refused", transport=kind)
                self.assertEqual(len(said), 1, home.events.tail())
                self.assertIn(says, said[0]["text"])
                self.assertIn(str(files[kind]), said[0]["text"])
                self.assertIn(f"transport {kind}: ", said[0]["text"])
                self.assertEqual(said[0]["level"], "error")
                self.assertNotIn("\n", said[0]["text"])
        self.assertEqual([e["transport"] for e in home.events.find(role="gateway", event="radio-open")], ["radio"])
        home.events.wait(role="gateway", event="confirmed", count=2, timeout=20)
        self.assertEqual(home.events.find(event="raw"), [], "output of a plugin must not appear")
        for name in ("pne", "gateway", "server"):
            self.assertEqual(home.role(name).terminate(), 0, name)

    def test_a_gateway_without_a_working_radio_ends(self):
        home = self.home(devices=1)
        home.gateway["transports"] = [{"name": "radio", "plugin": str(BAD / "crash_in_open.so")}]
        home.write()
        self.assertEqual(home.role("gateway").spawn().wait(20), 1)
        said = home.events.find(role="gateway", event="not-started")[0]["text"]
        self.assertIn("no transport can be used: ", said)
        self.assertIn("crash_in_open.so", said)

    def test_a_pne_reports_the_same(self):
        home = self.home(devices=1)
        home.pne["transports"] = [{"name": "radio", "plugin": str(BAD / "other_abi.so")}]
        home.write()
        self.assertEqual(home.role("pne").spawn().wait(20), 1)
        self.assertIn("this program has 1.2", home.events.find(role="pne", event="not-started")[0]["text"])

    def test_a_parameter_that_a_plugin_does_not_know(self):
        home = self.home(devices=1)
        home.gateway["transports"][0]["params"]["colour"] = "red"
        home.write()
        self.assertEqual(home.role("gateway").spawn().wait(20), 1)
        self.assertIn("parameter 'colour' is not known to tcp", home.events.find(role="gateway", event="radio-refused")[0]["text"])
        self.assertRegex(home.events.find(role="gateway", event="radio-refused")[0]["text"], r"gateway\.yaml:\d+:\d+: transport radio")

    def test_a_value_that_a_plugin_cannot_use_is_refused_when_the_file_is_checked(self):
        home = self.home(devices=1)
        params = home.gateway["transports"][0]["params"]
        params["announce"] = "239.1.2.3:7000"
        home.write()
        checked = home.cli("config", "check", "gateway.yaml", check=False)
        self.assertEqual(checked.returncode, 1, checked.stdout)
        self.assertRegex(checked.stdout + checked.stderr, r"gateway\.yaml:\d+:\d+: .*announce.*239\.1\.2\.3.* is a multicast group")
        # An address that this machine does not have now is not an error of the file.
        params.update({"listen": "192.0.2.77:7000", "announce": "192.0.2.255:7000"})
        home.write()
        self.assertEqual(home.cli("config", "check", "gateway.yaml").returncode, 0)


if __name__ == "__main__":
    unittest.main()

"""A radio in its own process: its kills, halts and crashes, and the end of its role, do not affect anything else."""

import json
import os
import pathlib
import random
import signal
import unittest

import kill_radios
from kill_radios import radio_children
from support.case import E2ECase
from support.home import poll
from support.process import cpns_binary

UNRULY = pathlib.Path(cpns_binary()).parents[1] / "tests/unit/isolation/unruly.so"


def is_gone(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class KillRadios(unittest.TestCase):
    def test_radios_are_killed_under_load(self):
        seed = int(os.environ.get("CPNS_E2E_SEED", random.SystemRandom().randrange(1 << 31)))
        said = []
        self.assertTrue(kill_radios.trial(times=8, seed=seed, calm_s=3, say=said.append), "\n".join(said))
        print("\n".join(said), flush=True)


class Isolation(E2ECase):
    def isolated(self, devices=3, rekey="1s"):
        home = self.home(devices=devices, rekey=rekey)
        for role in (home.gateway, home.pne):
            role["transports"][0]["isolation"] = "process"
            role["transports"][0]["power"] = "saving"
        home.gateway["timers"]["backoff_max"] = "1s"
        home.write()
        home.start()
        home.wait_for_each()
        return home

    def the_child(self, home, role):
        child, = poll(lambda: radio_children(home.role(role)), what=f"a radio process of the {role}")
        return child

    def end(self, home, *roles):
        for name in roles or ("pne", "gateway", "server"):
            children = radio_children(home.role(name))
            self.assertEqual(home.role(name).terminate(), 0, name)
            self.assertTrue(all(is_gone(c) for c in children), f"{name} left a process behind")

    def test_the_gateway_ends_while_its_radio_starts_again(self):
        home = self.isolated()
        for end in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(end.name):
                gateway = home.role("gateway")
                os.kill(self.the_child(home, "gateway"), signal.SIGKILL)
                home.events.wait(role="gateway", event="radio-ended", since=gateway.since)
                gateway.signal(end)
                self.assertEqual(gateway.wait(), 0 if end == signal.SIGTERM else -9)
                since = home.events.mark()
                gateway.start()
                home.wait_for_each(since)
        self.assertEqual(home.events.find(lambda e: e["event"] in kill_radios.LOST, role="gateway"), [])
        self.end(home)

    def test_the_counters_of_a_radio_outlive_its_process(self):
        home = self.isolated()
        gateway = home.role("gateway")

        def radio():
            said = json.loads(home.cli("pnes", "radios", "--json", "--config", "gateway.yaml").stdout)
            one, = said["radios"]
            return one

        def counts(restarts):
            r = radio()
            n = r["counters"]
            known = {entity for entity, _ in home.devices} == {link.get("entity") for link in r["links"]}
            return r if known and n["process_restarts"] == restarts and n.get("radio_frames_received", 0) > 0 else None

        before = poll(lambda: counts(0), what="counters of the radio")
        self.assertEqual(before["plugin"], "tcp")
        self.assertTrue(all(link["address"].startswith("tcp:127.0.0.1:") for link in before["links"]))
        os.kill(self.the_child(home, "gateway"), signal.SIGKILL)
        home.events.wait(role="gateway", event="radio-ended", since=gateway.since)
        after = poll(lambda: counts(1), what="counters of both processes")
        for name, value in before["counters"].items():
            self.assertGreaterEqual(after["counters"][name], value, name)
        text = home.cli("pnes", "radios", "--config", "gateway.yaml").stdout
        self.assertRegex(text, r"process_ends +1\n")
        self.assertIn(home.devices[0][0], text)
        self.end(home)

    def test_no_process_is_left_behind(self):
        home = self.isolated()
        of_gateway, of_pne = self.the_child(home, "gateway"), self.the_child(home, "pne")
        self.assertEqual(home.role("pne").kill9(), -9)
        poll(lambda: is_gone(of_pne), timeout=5, what="the radio process ends with a role that was killed")
        # A halted process cannot notice that its socket was closed.
        os.kill(of_gateway, signal.SIGSTOP)
        self.assertEqual(home.role("gateway").kill9(), -9)
        poll(lambda: is_gone(of_gateway), timeout=5, what="so does one that stands still")
        self.end(home, "server")

    def test_signals_of_a_service_manager_reach_all_processes(self):
        home = self.isolated()
        since = home.events.mark()
        children = [self.the_child(home, name) for name in ("gateway", "pne")]
        for child in children:
            os.kill(child, signal.SIGTERM)
        home.wait_for_each(home.events.mark())
        self.assertEqual([self.the_child(home, name) for name in ("gateway", "pne")], children)
        self.end(home)
        self.assertEqual(home.events.find(event="radio-ended", since=since), [])

    def test_a_halted_process_is_replaced(self):
        home = self.isolated()
        child, since = self.the_child(home, "gateway"), home.events.mark()
        os.kill(child, signal.SIGSTOP)
        ended = home.events.wait(role="gateway", event="radio-ended", since=since)[0]
        self.assertEqual(ended["text"], "the radio's process did not answer for 3000 ms")
        self.assertTrue(is_gone(child))
        home.wait_for_each(home.events.mark())
        self.end(home)

    def test_a_radio_that_can_no_longer_be_opened_is_retried_with_growing_pauses(self):
        home = self.home(devices=2, rekey="1s")
        switch = home.folder / "crash"
        home.gateway["transports"].append({"name": "unruly", "plugin": str(UNRULY), "isolation": "process",
                                           "params": {"does": "crash in open later", "once": str(switch)}})
        home.write()
        home.start()
        home.wait_for_each()
        switch.touch()
        os.kill(self.the_child(home, "gateway"), signal.SIGKILL)
        said = home.events.wait(role="gateway", event="radio-ended", level="error", timeout=30)[0]
        self.assertIn("unruly.so was killed by signal 11 (Segmentation fault) while it was opened", said["text"])
        self.assertEqual((said["transport"], said["starts_in_vain"]), ("unruly", "5"))
        pauses = [int(e["again_in_ms"]) for e in home.events.find(role="gateway", event="radio-ended")]
        self.assertGreater(pauses[-1], 4 * pauses[0], "the pauses must grow")
        home.wait_for_each(home.events.mark())  # the radio beside it
        switch.unlink()
        home.events.wait(role="gateway", event="radio-restarted", transport="unruly")
        # A new gateway refuses this radio at once, and serves the other one.
        switch.touch()
        self.end(home, "gateway")
        home.role("gateway").start()
        refused = home.events.wait(role="gateway", event="radio-refused", since=home.role("gateway").since)[0]
        self.assertRegex(refused["text"], r"gateway\.yaml:\d+:\d+: transport unruly: .*Segmentation fault")
        home.wait_for_each(home.events.mark())
        self.end(home)

    def test_a_refused_parameter_is_reported_with_its_position(self):
        home = self.home(devices=1)
        params = {"colour": "red"}  # unruly declares no parameters, so it refuses this one itself when it is opened
        home.gateway["transports"].append({"name": "unruly", "plugin": str(UNRULY), "isolation": "process", "params": params})
        home.write()
        home.start()
        lines = (home.folder / "gateway.yaml").read_text().splitlines()
        line = next(n for n, text in enumerate(lines, 1) if "colour" in text)
        refused = home.events.wait(role="gateway", event="radio-refused")[0]["text"]
        self.assertIn(f"gateway.yaml:{line}:", refused)
        self.assertIn("parameter colour is not known", refused)
        self.end(home)


if __name__ == "__main__":
    unittest.main()

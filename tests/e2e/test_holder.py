"""A gateway is lost and another one of the same user replaces it: messages, release of the devices by an operator, and the return of the
old gateway."""

import json
import unittest

from support import pki, yaml
from support.case import E2ECase
from support.process import Role

OLD, NEW = "urn:cpns:gw:gw1", "urn:cpns:gw:gw2"


class Replaced(E2ECase):
    def setUp(self):
        self.place = self.home(devices=2, rekey="2s")
        self.place.server["adopt_after"] = "1s"
        self.place.gateway["timers"]["backoff_max"] = "1s"
        self.place.write()
        pki.Ca(self.place.folder / "tls").issue(self.place.folder / "tls", "gw2", NEW, pki.CLIENT)
        tls = {"certificate": "tls/gw2.pem", "key": "tls/gw2.key", "ca": "tls/ca.pem"}
        config = dict(self.place.gateway, name="gw2", tls=tls, store={"kind": "rocksdb", "path": "state/gateway2"},
                      api={"socket": "state/gateway2.sock"})
        (self.place.folder / "gateway2.yaml").write_text(yaml.dump(config))
        self.new = Role("gateway2", self.place.folder / "gateway2.yaml", self.place.events, self.place.folder)
        self.new.args[1] = "gateway"
        self.place.processes.append(self.new)
        self.entities = [entity for entity, _ in self.place.devices]

    def each(self, timeout=30, since=0, **fields):
        for entity in self.entities:
            self.place.events.wait(entity=entity, timeout=timeout, since=since, **fields)

    def release(self, *args):
        return self.place.cli("entity", "release", *args, "--config", "server.yaml")

    def test_the_server_names_the_holder_until_the_devices_are_released(self):
        place = self.place
        place.start()
        self.each(role="gateway", event="confirmed")
        place.role("gateway").kill9()
        self.new.start()
        self.each(role="gateway2", event="held-elsewhere")
        self.each(role="server", event="held-by-other")
        for entity in self.entities:
            said = place.events.find(role="server", event="held-by-other", entity=entity)[0]["text"]
            self.assertRegex(said, rf"gateway {OLD} holds the device since 20\d\d-.*Z, last seen \d+ s ago; .*"
                                   rf"cpns entity release {entity}")
        listed = json.loads(place.cli("pnes", "list", "--json", "--config", "gateway2.yaml").stdout)["pnes"]
        for one in listed:
            self.assertEqual(one["state"], "held_elsewhere", one)
            self.assertRegex(one["reason"], rf"gateway {OLD} holds the device since .*to free it: cpns entity release")
        self.assertIn(f"gateway {OLD} holds", place.cli("pnes", "list", "--config", "gateway2.yaml").stdout)
        # The running server says the same as its store, when it is stopped.
        shown = place.cli("entity", "show", self.entities[0], "--config", "server.yaml").stdout
        listed = place.cli("entity", "list", "--held-by", OLD, "--config", "server.yaml").stdout
        self.assertEqual(place.role("server").terminate(), 0)
        self.assertEqual(place.cli("entity", "show", self.entities[0], "--config", "server.yaml").stdout, shown)
        self.assertEqual(place.cli("entity", "list", "--held-by", OLD, "--config", "server.yaml").stdout, listed)
        self.assertIn(OLD, place.cli("entity", "show", self.entities[0], "--config", "server.yaml").stdout)
        self.assertEqual(len(place.cli("entity", "list", "--held-by", OLD, "--config", "server.yaml").stdout.splitlines()), 2)
        self.assertIn(f"Released {self.entities[0]}, which {OLD} held since 20", self.release(self.entities[0]).stdout)
        again = place.cli("entity", "release", self.entities[0], "--config", "server.yaml", check=False)
        self.assertEqual((again.returncode, again.stdout), (1, ""))
        self.assertIn(self.entities[1], self.release("--held-by", OLD).stdout)
        self.assertEqual(place.cli("entity", "list", "--config", "server.yaml").stdout, "")
        self.assertEqual(place.cli("entity", "release", "--config", "server.yaml", check=False).returncode, 2)
        place.role("server").start()
        since = place.events.mark()
        self.each(role="gateway2", event="confirmed", since=since, timeout=40)
        self.old_one_comes_back()

    def old_one_comes_back(self):
        """It learns that it is no longer the holder, and leaves the devices alone."""
        place, since = self.place, self.place.events.mark()
        place.role("gateway").start()
        self.each(role="gateway", event="held-elsewhere", since=since, timeout=40)
        found = place.events.mark()
        self.each(role="gateway2", event="confirmed", since=found, timeout=40)
        self.assertEqual(place.events.find(role="gateway", event="delivering", since=since), [])
        self.assertEqual(place.events.find(role="server", event="stale-epoch", since=since), [])
        self.assertEqual(place.role("server").terminate(), 0)
        self.assertEqual(len(place.cli("entity", "list", "--held-by", NEW, "--config", "server.yaml").stdout.splitlines()), 2)

    def test_devices_are_released_while_the_server_runs(self):
        place = self.place
        place.start()
        self.each(role="gateway", event="confirmed")
        place.role("gateway").kill9()
        self.new.start()
        self.each(role="gateway2", event="held-elsewhere")
        since = place.events.mark()
        self.assertIn(f"Released {self.entities[0]}, which {OLD} held since 20", self.release(self.entities[0]).stdout)
        again = place.cli("entity", "release", self.entities[0], "--config", "server.yaml", check=False)
        self.assertEqual((again.returncode, again.stdout), (1, ""))
        self.assertIn(f"Released {self.entities[1]}, which {OLD} held since 20", self.release("--held-by", OLD).stdout)
        self.each(role="gateway2", event="confirmed", since=since, timeout=40)
        held = place.cli("entity", "list", "--held-by", NEW, "--config", "server.yaml").stdout
        self.assertEqual(len(held.splitlines()), 2)

    def test_an_old_gateway_that_returns_first_holds_its_devices_again(self):
        place = self.place
        place.start()
        self.each(role="gateway", event="confirmed")
        self.assertEqual(place.role("server").terminate(), 0)
        self.release("--held-by", OLD)
        since = place.events.mark()
        place.role("server").start()
        self.each(role="gateway", event="confirmed", since=since, timeout=40)
        place.events.wait(role="server", event="assignment-answered", entity=self.entities[0], since=since, timeout=40)
        self.assertEqual(place.role("server").terminate(), 0)
        self.assertIn(OLD, place.cli("entity", "show", self.entities[0], "--config", "server.yaml").stdout)


if __name__ == "__main__":
    unittest.main()

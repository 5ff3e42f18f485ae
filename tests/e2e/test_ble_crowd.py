"""More PNEs than links of a gateway's adapter: all are served in turn, a PNE that wakes up first."""

import unittest

from support import ble
from support.case import E2ECase

LINKS = 2


class BleCrowd(E2ECase):
    def place(self, devices, **options):
        home = ble.BleHome(devices=devices, together=True, level="debug", **options)
        self._homes.append(home)
        return home

    def most_links_at_once(self, home) -> int:
        """Counts links by the gateway's events: `detected` begins a link, `link-down` ends it."""
        up, most = set(), 0
        for e in home.events.find(role="gateway"):
            if e["event"] in ("detected",):
                up.add(e["entity"])
            elif e["event"] == "link-down":
                up.discard(e["entity"])
            most = max(most, len(up))
        return most

    def test_seven_pnes_share_two_links(self):
        home = self.place(7, central={"max_links": str(LINKS), "idle_ms": "1000", "rest_ms": "30000"})
        home.start_all()
        entities = [entity for entity, _ in home.devices]
        begun = home.events.find()[-1]["seen"]
        ble.report("7 PNEs keyed over 2 links", home.wait_confirmed(entities, timeout=90) - begun)
        firsts = [e["entity"] for e in home.events.find(role="gateway", event="validated")]
        self.assertEqual(len(set(firsts[:7])), 7, "a PNE had a second turn before all had a first one")
        self.assertLessEqual(self.most_links_at_once(home), LINKS)

        since = home.events.mark()
        home.tell_pne("sleep", entities[3])
        home.tell_pne("wake", entities[3])
        begun = home.events.wait(role="pne", event="wake", entity=entities[3], since=since)[0]["seen"]
        spent = home.wait_confirmed([entities[3]], since, timeout=40) - begun
        ble.report("one of them renewed after its wake-up", spent)
        self.assertLessEqual(self.most_links_at_once(home), LINKS)
        self.assertEqual(home.events.find(level="error"), [])

        since = home.events.mark()
        begun = home.events.find()[-1]["seen"]
        ble.report("each of them had another turn", home.wait_confirmed(entities, since, 90, event="detected") - begun)
        for role in ("pne", "gateway", "server"):
            self.assertEqual(home.role(role).terminate(), 0, role)


if __name__ == "__main__":
    ble.main(controllers=8, seconds=500)

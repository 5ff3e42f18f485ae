"""The count after a trial finds planted losses. Each test plants one, in a history that is good without it."""

import unittest

from books import Books
from schedule import FAULTS, Schedule

ENTITY = "urn:dev:mac:0024befffe804ff1"
OTHER = "urn:dev:mac:0024befffe804ff2"


def key(index: int, digest: str, **more) -> dict:
    return {"entity": ENTITY, "epoch": f"1.{index}", "sha256": digest, "set": "5e7", **more}


def answer(index: int, keys=2, chosen="5e7") -> dict:
    return {"event": "assignment-answered", "entity": ENTITY, "epoch": f"1.{index}", "set": chosen, "keys": str(keys)}


class Planted(unittest.TestCase):
    def setUp(self):
        self.nodes = {"node1.server": [answer(0)], "node2.server": [answer(2)]}
        self.gateway = [{"event": what, "entity": ENTITY, "epoch": f"1.{index}"} for what, index in
                        (("answered", 0), ("delivering", 0), ("confirmed", 0), ("refilled", 2), ("delivering", 1), ("confirmed", 1))]
        self.pne = [{"event": "key-accepted", "entity": ENTITY, "epoch": "1.1"}]
        self.held = {"server": [key(i, d) for i, d in enumerate("abcd")],
                     "gateway": [key(1, "b", use="own"), key(2, "c", use="unused"), key(3, "d", use="unused")],
                     "pne": [{**key(1, "b", use="current"), "set": None}]}
        self.reports = {ENTITY: "1.1"}

    def faults(self, devices=(ENTITY,)) -> list:
        logs = {**self.nodes, "gw1.gateway": self.gateway, "gw1.pne": self.pne}
        return Books(list(devices), logs, self.held, self.reports).check()

    def one(self, text: str):
        found = self.faults()
        self.assertTrue(any(text in f for f in found), found)

    def test_a_good_history_has_no_faults(self):
        self.assertEqual(self.faults(), [])

    def test_a_key_below_the_newest_report_may_be_gone(self):
        self.held["server"] = self.held["server"][1:]
        self.held["gateway"].append(key(0, "a", use="unused"))
        self.assertEqual(self.faults(), [])

    def test_an_answer_that_was_sent_again_is_not_a_second_one(self):
        self.nodes["node2.server"].append(answer(0))
        self.assertEqual(self.faults(), [])

    def test_an_index_that_two_nodes_issued(self):
        self.nodes["node2.server"].append(answer(1))
        self.one("1.1 was issued twice")

    def test_one_generation_of_two_sets(self):
        self.nodes["node2.server"].append(answer(2, chosen="0dd"))
        self.one("1.2 was issued twice")

    def test_a_given_key_that_the_server_lost(self):
        del self.held["server"][2]
        self.one("was given 1.2 of set 5e7, which the server lost")

    def test_a_given_key_with_other_bytes(self):
        self.held["server"][2]["sha256"] = "x"
        self.one("names two keys")

    def test_an_answer_that_the_server_forgot(self):
        self.gateway.append({"event": "refilled", "entity": ENTITY, "epoch": "1.4"})
        self.one("was answered 1.4, the server knows (1, 3)")

    def test_a_pne_with_a_lost_key(self):
        self.held["pne"][0].update(epoch="1.0", sha256="a")
        self.one("(1, 1) was acknowledged, but the PNE holds 1.0")

    def test_a_pne_without_a_key(self):
        self.assertIn(f"{OTHER} is not keyed", self.faults([ENTITY, OTHER])[0])

    def test_an_alarm(self):
        self.nodes["node1.server"].append({"event": "row-unreadable", "entity": ENTITY, "text": "its seal is broken"})
        self.one("logged row-unreadable 1 times")


class Drawn(unittest.TestCase):
    def test_a_seed_repeats_its_schedule_which_has_each_fault_once(self):
        nodes = ["node1", "node2", "node3"]
        drawn = [str(Schedule(seed, nodes, 60)) for seed in range(20)]
        self.assertEqual(drawn, [str(Schedule(seed, nodes, 60)) for seed in range(20)])
        self.assertGreater(len(set(drawn)), 15)
        for seed in range(20):
            faults = Schedule(seed, nodes, 60).faults
            self.assertEqual(sorted(f.what for f in faults), sorted(FAULTS))
            self.assertEqual(faults, sorted(faults, key=lambda f: f.at))
            self.assertLess(faults[-1].at, 56)


if __name__ == "__main__":
    unittest.main()

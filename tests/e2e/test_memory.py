"""Searches the whole memory of a running role for secrets. A role that must keep a secret may have a few copies; a role that only used it
must have none."""

import hashlib
import hmac
import os
import pathlib
import secrets
import sys

import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "vectors" / "judge"))

import keys as schedule  # noqa: E402
from support.case import E2ECase  # noqa: E402
from support.home import poll  # noqa: E402
from support.keys import ROLES, copied, read_keys  # noqa: E402
from support.memory import MemorySearch, copies_in, may_read_memory  # noqa: E402

# How many copies of one secret of a kind may be found at most (docs/threat-model.md, "Keys in memory"). Kinds without an entry: none.
ALLOWED = {
    "server": {"StoredKey": 1},
    "gateway": {"ClientKey": 1, "eukey": 1},
    "pne": {"TK'": 2, "eukey": 1},
}


def found_in(pid: int, wanted: dict) -> dict:
    """Number of copies for each name, also of those of which a part is left."""
    counted = copies_in(pid, MemorySearch({}, wanted)).counted()
    return {name: sum(counted.get(name, {}).values()) for name in wanted}


@unittest.skipUnless(may_read_memory(), "only root can read the memory of a process that cannot be dumped")
class Memory(E2ECase):
    def place(self, user: str):
        home = self.home(devices=0, user=user)
        self.secrets = {}
        password = "pw-" + secrets.token_urlsafe(24)
        home.cli("user", "passwd", user, "--stdin", "--config", "server.yaml", stdin=password + "\n")
        (home.folder / "password").write_text(password + "\n")
        rows = []
        for n in range(3):
            entity = f"urn:dev:mac:02cafe{secrets.token_hex(4)}{n:02x}"
            tk = "tk-" + secrets.token_urlsafe(18)
            self.secrets[f"Temporary Key {n}"] = tk.encode()
            self.secrets[f"TK' {n}"] = schedule.temporary_key(entity, tk.encode(), stretch=True)
            rows.append((entity, "text:" + tk, "stretch"))
        home.import_devices(rows)
        home.devices = [(entity, tk) for entity, tk, _ in rows]
        with open(os.open(home.folder / "devices.csv", os.O_WRONLY | os.O_TRUNC, 0o600), "w") as out:
            out.write("entity_id,temporary_key,strength\n" + "".join(",".join(row) + "\n" for row in rows))
        stored = next(k for k in read_keys(home.folder, "server", reveal=True) if k["what"] == "stored_key")
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), bytes.fromhex(stored["salt"]), int(stored["iterations"]), 32)
        self.secrets.update({"password": password.encode(), "SaltedPassword": salted,
                             "ClientKey": hmac.digest(salted, b"Client Key", "sha256"),
                             "StoredKey": bytes.fromhex(stored["value"])})
        home.server["entity_idle"] = "1s"
        home.server["keys"].update(rekey="2s", set_size=2)
        home.gateway["rekey"] = {"low_water": 2}
        home.gateway["healing_reserve"] = 1
        home.write()
        return home

    def collect(self, home) -> dict:
        """All EUKeys that are now in the stores, by role."""
        held = {}
        with copied(home) as folder:
            for role in ROLES:
                for k in read_keys(folder, role, reveal=True):
                    if k["what"] == "eukey":
                        name = f"eukey {k['entity']} {k['epoch']}"
                        self.secrets[name] = bytes.fromhex(k["value"])
                        held.setdefault(role, set()).add(name)
        return held

    def confirmed(self, home, times: int):
        counts = dict.fromkeys((e for e, _ in home.devices), 0)

        def enough(e):
            if (e["role"], e["event"]) == ("gateway", "confirmed"):
                counts[e["entity"]] += 1
            return min(counts.values()) >= times

        home.events.wait_until(enough, since=home.events.mark(), timeout=60, what=f"{times} updates of each device")

    def test_a_role_that_only_used_a_secret_keeps_no_copy(self):
        # Two lengths of user names, at which the buffers around ClientKey grow differently.
        for user in ("a@b.example", "somebody.with.a.longer.name@example.org"):
            with self.subTest(user):
                home = self.place(user)
                home.start()
                self.confirmed(home, 1)
                old = self.collect(home)
                self.confirmed(home, 3)
                home.tell_pne("sleep")
                poll(lambda: all(p["state"] == "asleep" for p in home.pnes().values()), what="devices asleep")
                held = self.collect(home)
                self.assertTrue(old["pne"] - held["pne"], "no key was replaced meanwhile")
                self.search(home, held)

    def search(self, home, held: dict):
        faults, report = [], []
        for role in ROLES:
            most = {}

            def settled():
                most.clear()
                faults.clear()
                for name, count in found_in(home.role(role).pid, self.secrets).items():
                    kind = name.split(" ")[0]
                    allowed = ALLOWED[role].get(kind, 0)
                    if kind == "eukey" and name not in held.get(role, ()):
                        allowed = 0
                    most[kind] = max(most.get(kind, 0), count)
                    if count > allowed:
                        faults.append(f"{role}: {count} copies of {name}, allowed are {allowed}")
                return not faults

            # An actor of the server frees its memory shortly after its last request.
            try:
                poll(settled, timeout=8, every=1.0, what="nothing found")
            except AssertionError:
                self.fail("\n".join(faults))
            report.append(f"{role}: {dict(sorted(most.items()))}")
        print("\n".join(report), flush=True)


if __name__ == "__main__":
    unittest.main()

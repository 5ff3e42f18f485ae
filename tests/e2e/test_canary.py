"""No secret of a whole run is in any file that the run left behind: debug logs, stores and their journals, key files, output of the
commands, core files. The secrets are a password and Temporary Keys chosen as canaries, values derived from them, and every EUKey that was
in the stores at some time."""

import hashlib
import hmac
import json
import os
import pathlib
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "vectors" / "judge"))

import keys as schedule  # noqa: E402
from support.canary import Search, needles, written_forms  # noqa: E402
from support.case import E2ECase  # noqa: E402
from support.keys import ROLES, copied, halted, read_keys  # noqa: E402

USER = "canary@example.org"
GROUP = "games"  # of every Debian


def private_file(path: pathlib.Path, text: str) -> pathlib.Path:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
    return path


class Canary(E2ECase):
    def setUp(self):
        # The test writes its own files outside of the folder that is searched.
        self.outside = pathlib.Path(tempfile.mkdtemp(prefix="cpns-e2e-outside-"))
        self.addCleanup(shutil.rmtree, self.outside, ignore_errors=True)
        self.secrets = {}
        limits = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (limits[1], limits[1]))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, limits)

    def keep(self, name: str, secret: bytes) -> bytes:
        self.secrets[name] = secret
        return secret

    def command(self, *args, **more):
        """Runs a command of the operator; its output is also searched."""
        done = self.place.cli(*args, check=False, env={"TMPDIR": str(self.place.folder / "tmp")}, **more)
        with open(self.place.folder / "commands.out", "a") as out:
            out.write(f"$ cpns {' '.join(str(a) for a in args)}\n{done.stdout}{done.stderr}")
        return done.returncode

    def set_up_place(self):
        self.place = self.home(devices=0, rekey="1s", level="debug", user=USER)
        for name in ("password", "devices.csv"):
            (self.place.folder / name).unlink()
        (self.place.folder / "tmp").mkdir()
        os.environ["TMPDIR"] = str(self.place.folder / "tmp")
        self.addCleanup(os.environ.pop, "TMPDIR", None)

        password = "pw-" + secrets.token_urlsafe(24)
        self.keep("password", password.encode())
        self.assertEqual(self.command("user", "passwd", USER, "--stdin", "--config", "server.yaml", stdin=password + "\n"), 0)

        rows = ["entity_id,temporary_key,strength"]
        self.entities = {}
        for n in range(6):
            entity = f"urn:dev:mac:02cafe{secrets.token_hex(4)}{n:02x}"
            tk = secrets.token_bytes(16) if n else ("tk-" + secrets.token_urlsafe(18)).encode()
            self.keep(f"Temporary Key {n}", tk)
            self.entities[entity] = self.keep(f"TK' {n}", schedule.temporary_key(entity, tk, stretch=n == 0))
            rows.append(f"{entity},{'hex:' + tk.hex() if n else 'text:' + tk.decode()},{'128bit' if n else 'stretch'}")
        devices = private_file(self.outside / "devices.csv", "\n".join(rows) + "\n")
        self.assertEqual(self.command("device", "import", devices, "--config", "server.yaml"), 0)
        self.assertEqual(self.command("device", "list", "--config", "server.yaml"), 0)

        self.place.gateway["user_password_file"] = str(private_file(self.outside / "password", password + "\n"))
        self.place.pne["devices_file"] = str(devices)
        # The smallest sets, to cause refills.
        self.place.server["keys"]["set_size"] = 2
        self.place.gateway["rekey"] = {"low_water": 2}
        self.place.gateway["healing_reserve"] = 1
        # Names of people that a support bundle could show: a group, and the subject of the CA, which sentences about its CRL quote.
        for role in ROLES:
            getattr(self.place, role).setdefault("api", {"socket": f"state/{role}.sock"})["groups"] = {"viewer": [GROUP]}
        for role in ("server", "gateway"):
            getattr(self.place, role)["tls"]["crl"] = "tls/ca.crl"
        self.place.write()
        self.derive_from(password)

    def derive_from(self, password: str):
        stored = next(k for k in read_keys(self.place.folder, "server", reveal=True) if k["what"] == "stored_key")
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), bytes.fromhex(stored["salt"]), int(stored["iterations"]), 32)
        client = hmac.digest(salted, b"Client Key", "sha256")
        self.assertEqual(hashlib.sha256(client).hexdigest(), stored["value"], "the server's StoredKey does not belong to this password")
        self.keep("SaltedPassword", salted)
        self.keep("ClientKey", client)
        self.keep("StoredKey", bytes.fromhex(stored["value"]))
        for name in ("md5", "sha1", "sha256", "sha512"):
            self.keep(f"{name} of the password", hashlib.new(name, password.encode()).digest())

    def collect(self):
        """Adds all secrets that are now in the stores."""
        with copied(self.place) as folder:
            for role in ROLES:
                for k in read_keys(folder, role, reveal=True):
                    who = " ".join(k[f] for f in ("entity", "epoch") if f in k)
                    self.keep(f"{k['what']} {k['value'][:6]} {who}", bytes.fromhex(k["value"]))
        for role in ROLES:
            self.keep(f"{role}.kek", bytes.fromhex((self.place.folder / f"{role}.kek").read_text().strip()))

    def wait(self, role: str, event: str, since: int):
        self.place.wait_for_each(since, 40, self.entities, role, event)

    def live(self):
        """Runs first contacts, updates, refills, wake-ups, amnesia, refusals and crashes."""
        place, since = self.place, self.place.events.mark()
        place.start()
        self.wait("gateway", "confirmed", since)
        self.collect()
        self.wait("gateway", "refilled", since)
        self.collect()
        for what in ("sleep", "wake", "reset", "button"):
            since = place.events.mark()
            self.assertEqual(self.command("pne", "--config", "pne.yaml", what), 0)
            if what == "sleep":
                self.wait("gateway", "asleep", since)
            else:
                self.wait("gateway", "confirmed", since)
            self.collect()
        for args in (("pnes", "list"), ("pnes", "show", next(iter(self.entities)))):
            self.assertEqual(self.command(*args, "--config", "gateway.yaml"), 0)
        self.bundles("running")
        for role in ROLES:
            for what in ("cmdline", "environ"):
                (place.folder / f"{role}.{what}").write_bytes(pathlib.Path(f"/proc/{place.role(role).pid}/{what}").read_bytes())
        for role in ROLES:
            place.role(role).kill9()
            self.collect()
            with halted(place):
                shutil.copytree(place.folder / "state", place.folder / f"state-after-the-{role}-was-killed",
                                ignore=shutil.ignore_patterns("*.sock"))
            since = place.events.mark()
            place.role(role).start()
            self.wait("gateway", "confirmed", since)
        self.collect()
        for role in ROLES:  # a crash
            place.role(role).signal(signal.SIGABRT)
            self.assertEqual(place.role(role).wait(), -signal.SIGABRT)
        self.collect()
        self.bundles("stopped")

    def bundles(self, state: str):
        """What a person sends to others has neither secrets, which the search shows, nor names."""
        for role in ROLES:
            for name, more in ((f"{role}-{state}.json", ()), (f"{role}-{state}-ids.json", ("--with-ids",))):
                self.assertEqual(self.command("support-bundle", "--config", f"{role}.yaml", "--output", name, "--yes", *more), 0)
            text = (self.place.folder / f"{role}-{state}.json").read_text()
            names = [USER, GROUP, self.place.address, *self.entities, *(e.removeprefix("urn:dev:mac:") for e in self.entities),
                     "urn:cpns:gw:", "development CA"]
            self.assertEqual([n for n in names if n in text], [], f"{role}, {state}")
            open_text = (self.place.folder / f"{role}-{state}-ids.json").read_text()
            self.assertIn(GROUP, open_text, "or the search for it shows nothing")
            self.assertEqual("/CN=cpns development CA" in open_text, role != "pne")

    def refusals(self):
        """Makes mistakes with secrets in the input: the error messages must not repeat them."""
        typo = self.keep("mistyped password", b"typo-" + secrets.token_urlsafe(24).encode()).decode()
        bad = self.keep("Temporary Key of a bad row", b"weak-" + secrets.token_urlsafe(18).encode()).decode()
        self.assertEqual(self.command("user", "add", USER, "--stdin", "--config", "server.yaml", stdin=typo + "\n"), 1)
        rows = f"entity_id,temporary_key,strength\nurn:dev:mac:02cafe0000000099,{bad},128bits\nurn:dev:bad,{bad},stretch\n"
        self.assertEqual(self.command("device", "import", private_file(self.outside / "bad.csv", rows), "--config", "server.yaml"), 1)
        self.swapped_columns("stopped")
        self.place.start("server")
        self.swapped_columns("running")
        self.place.gateway["store"]["path"] = "state/gateway-of-a-mistyped-password"
        self.place.gateway["user_password_file"] = str(private_file(self.outside / "mistyped", typo + "\n"))
        self.place.write()
        self.place.start("gateway", "pne")
        self.place.events.wait(role="gateway", event="user-refused", run=self.place.role("gateway").run, timeout=40)
        for role in reversed(ROLES):
            self.assertEqual(self.place.role(role).terminate(), 0)

    def swapped_columns(self, server: str):
        """A key in each column, in the first line, and as a name in JSON: the import refuses it, and shows no part of it."""
        names = ["entity_id", "temporary_key", "strength", "owner", "encoding"]
        for form in ("hex", "text"):
            key = self.keep(f"Temporary Key of swapped columns, {form}, {server} server", secrets.token_bytes(16) if form == "hex" else
                            ("tk-" + secrets.token_urlsafe(18)).encode())
            cell = key.hex() if form == "hex" else "text:" + key.decode()
            good = ["urn:dev:mac:02cafe0000000098", cell, "stretch", USER, ""]
            lists = [",".join(good) + "\n"]
            for place in (0, 2, 3, 4):
                row = list(good)
                row[1], row[place] = row[place], row[1]
                lists.append(",".join(names) + "\n" + ",".join(row) + "\n")
                lists.append(json.dumps(dict(zip(names, row))) + "\n")
                lists.append(json.dumps({cell: row[place]}) + "\n")
            for n, text in enumerate(lists):
                with self.subTest(f"{form}, {server}, {text}"):
                    file = private_file(self.outside / f"swapped-{form}-{server}-{n}.csv", text)
                    self.assertEqual(self.command("device", "import", file, "--config", "server.yaml"), 1)

    def test_no_secret_is_found_and_each_planted_one_is(self):
        self.set_up_place()
        self.live()
        self.refusals()
        kinds = {name.split(" ")[0] for name in self.secrets}
        self.assertLessEqual({"password", "Temporary", "TK'", "SaltedPassword", "ClientKey", "StoredKey", "eukey", "client_key",
                              "temporary_key", "gateway_temporary_key", "issuer_key", "mistyped"}, kinds)
        self.assertGreater(sum(name.startswith("eukey") for name in self.secrets), 60)
        key_files = [f"{role}.kek" for role in ROLES]
        search = Search(self.secrets)

        finds, files, size = search.in_folder(self.place.folder, leave_out=key_files)
        self.assertEqual(finds, [])
        self.assertGreater(files, 60)
        names = {str(p.relative_to(self.place.folder)) for p in self.place.folder.rglob("*")}
        self.assertEqual([n for n in names if pathlib.PurePath(n).name.startswith("core")], [], "a crash left a core file")
        for expected in ("server.err", "gateway.err", "pne.err", "commands.out", "state/pne/data.key", "gateway-running.json",
                         "server-stopped.json"):
            self.assertIn(expected, names)
        for store in ("state/server/", "state/gateway/", "state-after-the-gateway-was-killed/gateway/"):
            self.assertTrue(any(n.startswith(store) and n.endswith(".log") for n in names), f"no journal in {store}")
        self.assertIn('"level":"debug"', (self.place.folder / "gateway.err").read_text())

        self.plant_all(search)
        with open(self.place.folder / "gateway.err", "ab") as log:
            log.write(b'{"event":"careless","key":"' + self.secrets["ClientKey"].hex().encode() + b'"}\n')
        self.assertEqual({f.split(", ")[0] for f in search.in_folder(self.place.folder, key_files)[0]},
                         {"gateway.err: ClientKey"})
        print(f"{len(self.secrets)} secrets, {len(search.needles)} forms, {files} files, {size} bytes: none found", flush=True)

    def plant_all(self, search: Search):
        """Writes each secret in each form into a file between other bytes; the search must find it under its name."""
        folder = self.outside / "planted"
        folder.mkdir()
        for name, secret in self.secrets.items():
            forms = written_forms(secret)
            for number, (form, text) in enumerate(forms.items()):
                (folder / str(number)).write_bytes(secrets.token_bytes(301) + text + secrets.token_bytes(97))
            finds, files, _ = search.in_folder(folder)
            found = {f.split(":")[0] for f in finds if any(f.split(": ", 1)[1] == search.needles[n]
                                                         for n in needles(secret).values())}
            self.assertEqual(found, {str(n) for n in range(len(forms))}, f"{name}: of {list(forms)}")
            self.assertEqual(files, len(forms))

    def test_the_roles_leave_no_core_file_although_core_files_are_enabled(self):
        pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text()
        if pattern.startswith(("|", "/")) or resource.getrlimit(resource.RLIMIT_CORE)[0] == 0:
            self.skipTest("this system writes no core files into the working folder")
        home = self.home(devices=1)

        def cores():
            return [p.name for p in home.folder.iterdir() if p.name.startswith("core")]

        home.start()
        for role in ROLES:
            home.role(role).signal(signal.SIGABRT)
            self.assertEqual(home.role(role).wait(), -signal.SIGABRT)
        self.assertEqual(cores(), [])
        other = subprocess.Popen(["/bin/sleep", "60"], cwd=home.folder)
        other.send_signal(signal.SIGABRT)
        self.assertEqual(other.wait(20), -signal.SIGABRT)
        self.assertNotEqual(cores(), [], "the test cannot see core files, so it proves nothing")


if __name__ == "__main__":
    unittest.main()

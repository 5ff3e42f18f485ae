"""Tests over Bluetooth Low Energy: the test file restarts itself inside a virtual machine (ble_vm) with the adapters hci0, hci1 ... and
a real bluetoothd. The gateway has hci0; each PNE is a process with its own adapter, unless `together` puts all of them into one."""

import os
import pathlib
import select
import signal
import subprocess
import sys
import unittest

from support import yaml
from support.home import Home, poll
from support.process import Role

BENCH = pathlib.Path(__file__).resolve().parents[1] / "ble_vm"
BLUETOOTHD = "/usr/libexec/bluetooth/bluetoothd"
_begun = []  # keeps a reference: Python warns about a Popen object that is collected while its process runs


def main(controllers: int, seconds: int):
    """Call at the end of a test file. Exit code: that of unittest, or 77 with the reason if the virtual machine cannot start."""
    if "BLE_OUT" in os.environ:
        unittest.main()
    sys.stdout.flush()
    os.execv(BENCH, [str(BENCH), "-n", str(controllers), "-t", str(seconds), "/usr/bin/python3", "-B", *sys.argv])


class BleHome(Home):
    """Each PNE is a process, in `pnes_by_entity`; with `together` all are in the one process of Home. `peripheral`: the parameters of
    all PNEs, or a list with the parameters of each."""

    def __init__(self, devices=3, together=False, central=None, peripheral=None, **options):
        super().__init__(devices=devices, **options)
        self.gateway["transports"] = [{"name": "radio", "plugin": "ble", "params": {"adapter": "hci0", **(central or {})}}]
        self.pnes_by_entity = {}
        adapters = [f"hci{i + 1}" for i in range(devices)]
        if together:
            self.pne["transports"] = [{"name": "radio", "plugin": "ble",
                                       "params": {"adapter": ", ".join(adapters), **(peripheral or {})}}]
        else:
            table = (self.folder / "devices.csv").read_text().splitlines()
            each = peripheral if isinstance(peripheral, list) else [peripheral] * devices
            for (entity, _), row, adapter, more in zip(self.devices, table[1:], adapters, each):
                name = f"pne-{adapter}"
                (self.folder / f"{name}.csv").write_text(f"{table[0]}\n{row}\n")
                (self.folder / f"{name}.csv").chmod(0o600)
                config = dict(self.pne, devices_file=f"{name}.csv", api={"socket": f"state/{name}.sock"}, keys_dir=f"state/{name}",
                              transports=[{"name": "radio", "plugin": "ble", "params": {"adapter": adapter, **(more or {})}}])
                (self.folder / f"{name}.yaml").write_text(yaml.dump(config))
                role = Role(name, self.folder / f"{name}.yaml", self.events, self.folder)
                role.args[1] = "pne"
                self.pnes_by_entity[entity] = self._keep(role)
        self.write()

    def start_all(self):
        self.start("server", "gateway")
        self.events.wait(role="gateway", event="enrolled", timeout=60)  # PBKDF2 takes seconds in an emulated processor
        if not self.pnes_by_entity:
            self.start("pne")
        for p in self.pnes_by_entity.values():
            p.start(40)
        return self

    def tell(self, entity: str, what: str):
        """Sends a command such as sleep or wake to one PNE."""
        p = self.pnes_by_entity[entity]
        return self.cli("pne", "--config", f"{p.name}.yaml", what, entity)

    def confirmed(self, since=0, **more) -> list:
        return self.events.find(role="gateway", event="confirmed", since=since, **more)

    def wait_confirmed(self, entities, since=0, timeout=60.0, event="confirmed") -> float:
        return self.wait_for_each(since, timeout, entities, event=event)


def pid_of(program: str) -> int:
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().split(b"\0")[0].decode() == program:
                return int(entry.name)
        except OSError:
            continue
    raise AssertionError(f"{program} is not running")


def end_bluetoothd(how=signal.SIGKILL):
    pid = pid_of(BLUETOOTHD)
    handle = os.pidfd_open(pid)
    try:
        os.kill(pid, how)
        if not select.select([handle], [], [], 20)[0]:
            raise AssertionError("bluetoothd did not end within 20 s")
    finally:
        os.close(handle)


def begin_bluetoothd():
    """Starts bluetoothd if it is not running. It ends with the virtual machine."""
    try:
        pid_of(BLUETOOTHD)
    except AssertionError:
        with open(pathlib.Path(os.environ["BLE_OUT"]) / "bluetoothd-again.log", "ab") as log:
            _begun.append(subprocess.Popen([BLUETOOTHD, "-n"], stdout=log, stderr=log, stdin=subprocess.DEVNULL))


def power(adapter: str, on: bool):
    """As `bluetoothctl power`; waits until the adapter has switched."""
    def call(method, *args):
        return subprocess.run(["dbus-send", "--system", "--print-reply=literal", "--dest=org.bluez", f"/org/bluez/{adapter}",
                               f"org.freedesktop.DBus.Properties.{method}", "string:org.bluez.Adapter1", "string:Powered", *args],
                              capture_output=True, text=True, timeout=30)

    word = "true" if on else "false"
    call("Set", f"variant:boolean:{word}")
    poll(lambda: word in call("Get").stdout, what=f"{adapter} to switch {'on' if on else 'off'}")


def report(what: str, seconds: float):
    print(f"  time: {what}: {seconds:.2f} s", file=sys.stderr, flush=True)

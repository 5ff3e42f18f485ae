"""One half of the conformance tests of the ble radio; see support/ble_check.py."""

from support import ble_check
from support.ble_check import Check  # noqa: F401, for unittest

if __name__ == "__main__":
    ble_check.main(half=0)

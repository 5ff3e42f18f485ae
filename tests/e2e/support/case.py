"""Base of the e2e test cases: removes the homes of a test, and prints their last events if the test failed."""

import os
import sys
import unittest

from support.home import Home


class E2ECase(unittest.TestCase):
    def run(self, result=None):
        self._homes = []
        failed = self._count(result)
        try:
            return super().run(result)
        finally:
            failed = self._count(result) > failed
            for home in self._homes:
                if failed:
                    print(f"--- last events of {self.id()}\n{home.events.tail(40)}", file=sys.stderr, flush=True)
                home.close(keep=failed and "CPNS_E2E_KEEP" in os.environ)

    @staticmethod
    def _count(result) -> int:
        return len(result.failures) + len(result.errors) if result is not None else 0

    def home(self, **options) -> Home:
        home = Home(**options)
        self._homes.append(home)
        return home

"""Runs the tests in this folder, or in the modules that are named, and counts them."""

import sys
import unittest
from pathlib import Path

FOLDER = str(Path(__file__).parent)

if __name__ == "__main__":
    sys.path.insert(0, FOLDER)
    loader = unittest.TestLoader()
    names = sys.argv[1:]
    suite = loader.loadTestsFromNames(names) if names else loader.discover(FOLDER)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    failed = len(result.failures) + len(result.errors)
    passed = result.testsRun - failed - len(result.skipped)
    for test, reason in result.skipped:
        print(f"NOT RUN: {test}: {reason}")
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(failed > 0 or passed == 0)

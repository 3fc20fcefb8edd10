"""`bench doctor --device pretend` with few images; what it writes is printed after its table."""

import sys

import pretend_device

from benchmark.api import device_check
from benchmark.cli import main
from benchmark.engine import device_choice, devices


def shorten(patch):
    """Make the check short: patch(object, name, value)."""
    patch(device_check, "RUN", device_check.replace(device_check.RUN, suites="cue-conflict", limit=2))
    patch(device_check, "SECONDS", 0.02)
    patch(device_check, "TIMED", 2)
    patch(devices, "_SECONDS", 0.01)


if __name__ == "__main__":
    kept = pretend_device.install()
    device_choice.choose_device = lambda wanted: wanted
    shorten(setattr)
    sys.argv = ["bench", "doctor", "--device", "pretend", "--model", "world-standard-0", "--json", sys.argv[1]]
    main()

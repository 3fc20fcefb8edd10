"""In a process that has this folder on its path networks are fed with their memory as it lies, as on a GPU, whatever
computes; where BENCH_TEST_DEVICE says so, that is the pretended device, whatever is asked for."""

import os
import sys

# Ray's own processes run no network; all that torch takes to load would count as the time that a node takes to start.
if not any(word.endswith(("agent.py", "agent/main.py", "dashboard.py", "monitor.py")) for word in sys.orig_argv):
    import pretend_device

    from benchmark.engine import device_choice, devices

    form = devices._form
    devices._form = lambda model, _device, *last: form(model, pretend_device.NAME, *last)
    if os.environ.get("BENCH_TEST_DEVICE") == pretend_device.NAME:
        KEPT = pretend_device.install()
        device_choice.choose_device = lambda _wanted: pretend_device.NAME

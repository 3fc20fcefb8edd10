"""Names that load on first use: listed once, all of them there."""

import inspect
import subprocess
import sys

import pytest

from benchmark import api
from benchmark.first_use import homes


def test_every_listed_name_is_where_the_list_says():
    listed = homes(api.__name__)
    assert len(listed) > 10
    for name, home in listed.items():
        found = getattr(api, name)
        if inspect.isfunction(found) or inspect.isclass(found):
            assert found.__module__ == home


def test_a_name_that_is_none_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"'benchmark\.api' has no attribute 'ranks'"):
        _ = api.ranks


def test_nothing_is_loaded_before_it_is_used():
    code = "import benchmark.api, gestaltbench, sys; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'benchmark.api.running'" not in done.stdout and "'sqlalchemy'" not in done.stdout

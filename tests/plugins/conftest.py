"""Running `bench` where a third party's package is installed."""

import pytest
from installed_packages import bench_beside


@pytest.fixture
def bench_with(tmp_path):
    """call(folder, *commands): how each `bench COMMAND` ended where the packages of a folder are installed."""

    def call(folder, *commands):
        return bench_beside(folder, tmp_path, *commands)

    return call

import pytest
from adversarial_world import shown


@pytest.fixture(scope="session")
def world():
    return shown


@pytest.fixture(scope="session")
def standard():
    return shown("world-standard-0", 20)


@pytest.fixture(scope="session")
def robust():
    return shown("world-adversarial-0", 20)

import pytest
import torch
from adversarial_world import shown


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def world():
    """world(name, count): a network of the world on so many of its natural images."""
    return shown


@pytest.fixture(scope="session")
def standard():
    return shown("world-standard-0", 32)


@pytest.fixture(scope="session")
def robust():
    return shown("world-adversarial-0", 32)

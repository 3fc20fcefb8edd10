"""Tensors held against one another."""

import numpy as np


def assert_close(found, expected, rtol=1.3e-6, atol=1e-5):
    """Equal in shape and type, and in values as far as float32 goes.

    So says `torch.testing.assert_close`, too, after a second's import of distributed tensors."""
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found.detach(), expected.detach(), rtol, atol)

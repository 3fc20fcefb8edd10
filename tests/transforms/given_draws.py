"""Random numbers that a test hands in."""


class Given:
    """Draws handed in by the caller, returned in the order given: for comparing with another implementation."""

    def __init__(self, arrays):
        self._arrays = iter(arrays)

    def uniform(self, *shape):
        """The next array."""
        return next(self._arrays).reshape(-1, *shape)

    normal = uniform

    def uniform_and_coin(self, *shape):
        """The next two arrays; the second, uniform, makes the coins."""
        return self.uniform(*shape), self.uniform(*shape) <= 0.5

    def poisson(self, levels, peak):
        """The next array, as counts."""
        return next(self._arrays).reshape(levels.shape)

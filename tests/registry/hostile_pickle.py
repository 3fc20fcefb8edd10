"""What would create a folder, were it ever unpickled."""

import os


class Hostile:
    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return (os.mkdir, (self.target,))

"""The entry point of `bench`."""

import gc


def main() -> None:
    """Run the command line. The package `gestaltbench` has found its own rooms by now."""
    gc.disable()  # nothing of what is imported until a command begins is garbage
    from benchmark.cli import main as command

    command()

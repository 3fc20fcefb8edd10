"""The entry point of `bench`."""


def main() -> None:
    """Run the command line. The package `gestaltbench` has found its own rooms by now."""
    from benchmark.cli import main as command

    command()

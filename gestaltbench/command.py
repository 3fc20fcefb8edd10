"""The entry point of `bench`."""

import click


def main() -> None:
    """Run the command line, with `plot gallery`: it needs a suite's pictures, and lower layers do not import suites."""
    from benchmark.cli import ADDED
    from benchmark.cli import main as command_line

    def gallery() -> click.Command:
        from gestaltbench.map_gallery import gallery_command

        return gallery_command

    ADDED["plot"] = gallery
    command_line()

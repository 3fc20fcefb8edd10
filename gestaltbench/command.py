"""The entry point of `bench`."""

import click


def main() -> None:
    """Run the command line. The gallery draws with a suite's own pictures, and the command line below knows no suite:
    so it is added here."""
    from benchmark.cli import ADDED
    from benchmark.cli import main as command_line

    def gallery() -> click.Command:
        from gestaltbench.map_gallery import gallery_command

        return gallery_command

    ADDED["plot"] = gallery
    command_line()

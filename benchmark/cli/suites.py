"""`bench suites`."""

from pathlib import Path
from typing import Annotated

from benchmark.api.options import Option
from benchmark.cli.derive import command
from benchmark.cli.printing import echo_line
from benchmark.plugins import find_suites, select_suites
from benchmark.templates import Kind, write_package

Name = Annotated[str, Option("Suites, separated by commas, or all.")]


@command(name="show")
def show_suite(name: Name) -> None:
    """Show a suite's metrics with definition and chance level."""
    for suite in select_suites(name, find_suites(name)):
        echo_line(f"{suite.name} v{suite.version}: {suite.summary}")
        echo_line(f"needs {suite.needs}; stimuli labelled in {', '.join(suite.spaces)}")
        roles = dict.fromkeys([*(m.role for m in suite.metrics), *suite.experiments.values()])
        echo_line(f"roles of its stimuli (`bench data add --role`): {', '.join(filter(None, roles))}")
        for metric in suite.metrics:
            chance = f", chance {metric.chance:.4g}" if metric.chance is not None else ""
            mark = " (headline)" if metric.headline else ""
            role = f"; on {metric.role}" if metric.role else ""
            echo_line(f"  {metric.name}{mark}: {metric.definition} [{metric.direction}{chance}{role}]")
        for variant in suite.variants.values():
            echo_line(f"variant {variant.name}: {variant.summary}")
        if suite.stopping.within is not None:
            echo_line("stops early with --precision-target X")


@command(name="check")
def check_suite(name: Name) -> int:
    """Run the conformance kit (benchmark.testing) on a suite."""
    from benchmark.testing import check_suite as conformance

    failed = False
    for suite in select_suites(name, find_suites(name)):
        for check in conformance(suite):
            failed |= not check.ok
            echo_line(f"{'ok  ' if check.ok else 'FAIL'}  {check.name}: {check.detail}")
    return 1 if failed else 0


@command(name="new")
def new_package(
    name: Annotated[str, Option("Name the package.")],
    *,
    kind: Annotated[Kind, Option("Choose what the package contains.")] = "suite",
    out: Annotated[Path, Option("Write NAME/ into this folder (default: here).", kind="new folder")] = Path(),
) -> None:
    """Write a plug-in package that passes its own tests.

    The package contains a suite, a corruption, a map or an attack."""
    for path in write_package(name, kind, out):
        echo_line(str(out / name / path))
    echo_line(f"Next: pip install -e '{out / name}[test]' && pytest {out / name}")


@command(parts=(show_suite, check_suite, new_package))
def suites() -> int:
    """List, show and check test suites."""
    shelf = find_suites()
    for suite in shelf.suites.values():
        echo_line(f"{suite.name:<20} v{suite.version}  {suite.summary}")
    for name, reason in shelf.broken.items():
        echo_line(f"{name:<20} BROKEN  {reason}")
    return 1 if shelf.broken else 0

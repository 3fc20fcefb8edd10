"""What a code digest sees: classes, cached functions, constants of other modules, local imports."""

import importlib
import itertools
import re
import textwrap

import pytest

from benchmark.keys import code_digest

BASE = {
    "helper.py": """
        from functools import lru_cache

        LEVELS = (1, 2)


        @lru_cache
        def cached(x):
            return x + 1


        class Pool:
            \"\"\"A pool.\"\"\"

            def step(self):
                return inner() * 2


        def inner():
            return 3


        def late():
            return 4
    """,
    "suite.py": """
        from PACKAGE.helper import LEVELS, Pool, cached


        def observe():
            from PACKAGE.helper import late

            return cached(LEVELS[0]) + Pool().step() + late()
    """,
}
CHANGES = {
    "cached": ("x + 1", "x + 2"),
    "constant": ("(1, 2)", "(1, 5)"),
    "method": ("inner() * 2", "inner() * 3"),
    "behind a method": ("return 3", "return 30"),
    "imported late": ("return 4", "return 40"),
}
NUMBERS = itertools.count()  # a package's name is used once, as Python keeps what it imported


@pytest.fixture
def digest_of(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))

    def digest_of(old="", new=""):
        """The digest of `observe` where `old` in the helper reads `new`; each in a package of its own name."""
        package = f"toypackage{next(NUMBERS)}"
        folder = tmp_path / package
        folder.mkdir()
        (folder / "__init__.py").write_text("")
        for name, text in BASE.items():
            code = textwrap.dedent(text).replace("PACKAGE", package)
            (folder / name).write_text(code.replace(old, new) if old else code)
        return code_digest(importlib.import_module(f"{package}.suite").observe)

    return digest_of


def _anonymous(monkeypatch):
    """Digests carry module names; packages here differ in theirs, so they are blanked."""
    from benchmark import keys

    plain = keys.digest
    monkeypatch.setattr(
        keys,
        "digest",
        lambda value: plain(re.sub(r"toypackage\d+", "p", repr(value))),
    )


def test_comments_and_docstrings_do_not_count(digest_of, monkeypatch):
    _anonymous(monkeypatch)
    assert digest_of() == digest_of('"""A pool."""', '"""Another word."""  # and a comment')


@pytest.mark.parametrize("change", CHANGES)
def test_every_kind_of_code_counts(digest_of, monkeypatch, change):
    _anonymous(monkeypatch)
    assert digest_of() != digest_of(*CHANGES[change])

"""A PostgreSQL server of one's own, in a folder that goes away: for tests and figures.

    with own_server() as server:
        open_store(server.url("results"))
        server.stop(); server.start()

It listens on a socket in its folder, on no port. A server refuses to run as root: root starts it as another user.

    python benchmarks/postgres_server.py pytest ...     # a command beside a server, named by BENCH_TEST_POSTGRES
"""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PLACES = "/usr/lib/postgresql"  # Debian keeps each version's programs in a folder of its own
ROLE = "bench"


@dataclass(frozen=True)
class Server:
    """A server in `folder`, run by the programs in `programs` as `user` (None: as oneself)."""

    folder: Path
    programs: Path
    user: str | None

    def url(self, database: str = "postgres") -> str:
        """The URL of a data base of this server, which may not be there yet."""
        return f"postgresql://{ROLE}@/{database}?host={self.folder}"

    def start(self) -> None:
        how = f"-k {self.folder} -c listen_addresses=''"
        self._run("pg_ctl", "-o", how, "-l", str(self.folder / "log"), "-w", "start")

    def stop(self, how: str = "fast") -> None:
        """Stop it. how: "fast" ends all connections, "immediate" is a crash."""
        self._run("pg_ctl", "-m", how, "-w", "stop")

    def create(self, database: str, encoding: str = "UTF8", locale: str = "") -> str:
        """A new data base; its URL. locale: whose order of names is the data base's, such as "en-US"."""
        import psycopg

        what = f"CREATE DATABASE {database} ENCODING '{encoding}' TEMPLATE template0"
        if locale:
            what += f" LOCALE_PROVIDER icu ICU_LOCALE '{locale}'"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(what)
        return self.url(database)

    def initialise(self) -> None:
        """Make the files of a server."""
        self._run("initdb", "-A", "trust", "-U", ROLE, "-E", "UTF8")

    def _run(self, program: str, *words: str) -> None:
        subprocess.run(
            [self.programs / program, *words],
            env={**os.environ, "PGDATA": str(self.folder / "data"), "LC_ALL": "C"},
            cwd=self.folder,
            user=self.user,
            group=None if self.user is None else pwd.getpwnam(self.user).pw_gid,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )


def why_none() -> str:
    """Why no server can be started here; "" where one can."""
    if _programs() is None:
        return "no initdb of PostgreSQL is installed"
    if os.getuid() == 0 and _user() is None:
        return "PostgreSQL does not run as root, and there is no other user"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "needs the extra 'postgres'"
    return ""


@contextmanager
def own_server() -> Iterator[Server]:
    """A fresh server; stopped and gone at the end. RuntimeError where there can be none."""
    programs, user = _programs(), _user() if os.getuid() == 0 else None
    if programs is None or why_none():
        raise RuntimeError(why_none())
    with tempfile.TemporaryDirectory(prefix="bench-pg-") as name:
        folder = Path(name)
        if user is not None:
            shutil.chown(folder, user)
        server = Server(folder, programs, user)
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")


def _programs() -> Path | None:
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    versions = sorted(Path(PLACES).glob("*/bin/initdb"), key=lambda one: one.parts[-3].zfill(4))
    return versions[-1].parent if versions else None


def _user() -> str | None:
    names = {one.pw_name for one in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)


def main(command: list[str]) -> int:
    reason = why_none()
    if reason:
        print(f"no PostgreSQL server: {reason}", file=sys.stderr)
        return subprocess.run(command, check=False).returncode
    with own_server() as server:
        environment = {**os.environ, "BENCH_TEST_POSTGRES": server.url()}
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

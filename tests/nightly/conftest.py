"""A small archive, and both kinds of store."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from rtqc.nightly import Store, open_store
from tests.archives import Planned, Recipe, write_one
from tests.conftest import absent
from tests.peers import free_port

#: A patient whose clean plan passes.
SEEDS = (100,)


@pytest.fixture(scope="session")
def small_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four plans: two clean, one without apex, one with swapped lungs; not to be changed."""
    root = tmp_path_factory.mktemp("archive")
    recipe = Recipe(4)
    for number, error in enumerate(("", "apex_cut", "", "lungs_swapped")):
        planned = Planned(number, f"P{number}/EXPORT", f"P{number}", f"2026010{number + 1}", "ADAMS", error, "", False)
        write_one(planned, recipe, root, SEEDS)
    return root


@pytest.fixture
def archive(small_archive: Path, tmp_path: Path) -> Path:
    """A copy of it, to break."""
    target = tmp_path / "archive"
    shutil.copytree(small_archive, target)
    return target


@dataclass
class Postgres:
    """A PostgreSQL server of a test's own."""

    folder: Path
    binaries: Path
    port: int

    def url(self, database: str) -> str:
        """A database's URL."""
        return f"postgresql://rtqc@127.0.0.1:{self.port}/{database}"

    def run(self, program: str, *arguments: str) -> str:
        """Run one of its programs, as somebody who is not root: the server refuses him."""
        command = [str(self.binaries / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def start(self) -> None:
        """Start the server."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} -c fsync=off"
        # The server keeps whatever it inherits open, so it must not inherit the pipe that we read.
        log = str(self.folder / "log")
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-l", log, "-o", options, "-w", "start")

    def stop(self) -> None:
        """Stop it at once, as a restart of the machine would."""
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")

    def new_database(self, name: str) -> str:
        """An empty database; its URL."""
        self.run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "rtqc", name)
        return self.url(name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running server."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        absent("PostgreSQL's server")
    folder = Path(tempfile.mkdtemp(prefix="rtqc-pg-"))
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
    server = Postgres(folder, found[-1].parent, free_port())
    server.run("initdb", "-D", str(folder / "data"), "-U", "rtqc", "-A", "trust", "-E", "UTF8", "--locale=C")
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def new_store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """URLs of empty stores, of both kinds."""
    count = iter(range(100))

    def make() -> str:
        if request.param == "sqlite":
            return f"sqlite:///{tmp_path / f'store{next(count)}.sqlite'}"
        server: Postgres = request.getfixturevalue("postgres")
        return server.new_database(f"t{abs(hash((request.node.nodeid, next(count)))):x}")

    return make


@pytest.fixture
def store_url(new_store_url: Callable[[], str]) -> str:
    """The URL of an empty store, of both kinds."""
    return new_store_url()


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An empty store, of both kinds."""
    with opened(store_url) as found:
        yield found


@contextmanager
def opened(url: str | Path) -> Iterator[Store]:
    """A store, closed in the end."""
    found = open_store(url)
    try:
        yield found
    finally:
        found.close()

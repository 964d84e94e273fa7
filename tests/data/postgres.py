"""A PostgreSQL server of the tests' own: on a socket in a temporary folder, gone afterwards."""

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path


def programs():
    """Give the folder of the server's programs, or None where they are not installed."""
    places = [Path(found).resolve().parent for name in ("initdb",) if (found := shutil.which(name))]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "pg_ctl").exists() and (place / "initdb").exists()), None)


def _owner():
    """Give the user the server runs as: it refuses to be root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in known), None)


@contextmanager
def server():
    """Start a server; give the folder of its socket."""
    place, owner = programs(), _owner()
    folder = Path(tempfile.mkdtemp(prefix="cs-pg-"))
    data = folder / "data"

    def run(program, *arguments):
        command = [str(place / program), "-D", str(data), *arguments]
        subprocess.run(command, check=True, user=owner, cwd=folder, stdout=subprocess.DEVNULL, timeout=120)

    try:
        if owner is not None:
            shutil.chown(folder, owner)
        run("initdb", "-A", "trust", "-U", "lender", "-E", "UTF8", "--locale=C")
        options = f"-c unix_socket_directories={folder} -c listen_addresses='' -c fsync=off"
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield folder
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)

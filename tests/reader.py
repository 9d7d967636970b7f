"""An embedded ClickHouse with a role that has a given grant: `python -m tests.reader`, one engine per process.

chdb keeps no users or roles of SQL, but reads them from a file; there, a role has its grants as SQL.  Standard input is
a JSON object: `grant` (without TO), `prepare` and `ask`, both lists of statements; the first run with all rights and
the second in the role.  Standard output is a list: for each of both the answer's text, or the error's.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.sax.saxutils import escape

import chdb

_USERS = """<clickhouse>
  <profiles><default/></profiles><quotas><default/></quotas>
  <roles>
    <all><grants><query>GRANT ALL ON *.*</query></grants></all>
    <reader><grants><query>{grant}</query></grants></reader>
  </roles>
  <users><default>
    <password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
    <grants><query>GRANT all, reader</query></grants>
  </default></users>
</clickhouse>"""
_CONFIG = """<clickhouse>
  <path>{path}/db</path><tmp_path>{path}/tmp/</tmp_path>
  <user_directories><users_xml><path>{path}/users.xml</path></users_xml></user_directories>
</clickhouse>"""


def answers(grant: str, prepare: Sequence[str], ask: Sequence[str]) -> tuple[list[str], list[str]]:
    """What the engine says to each statement: with all rights, and in a role with this grant alone."""
    task = json.dumps({"grant": grant, "prepare": prepare, "ask": ask})
    command = [sys.executable, "-m", "tests.reader"]
    done = subprocess.run(command, input=task, capture_output=True, text=True, check=True, timeout=60)
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found[: len(prepare)], found[len(prepare) :]


def _main() -> None:
    task = json.load(sys.stdin)
    with TemporaryDirectory() as name:
        path = Path(name)
        (path / "users.xml").write_text(_USERS.format(grant=escape(task["grant"])), "utf-8")
        (path / "config.xml").write_text(_CONFIG.format(path=escape(name)), "utf-8")
        connection = chdb.connect(f"{path}/db?config-file={path}/config.xml")

        def answer(statement: str) -> str:
            try:
                return str(connection.query(statement, "TabSeparated")).strip()
            except (RuntimeError, chdb.ChdbError) as error:
                return str(error)

        found = [answer(statement) for statement in task["prepare"]]
        connection.query("SET ROLE reader")
        found += [answer(statement) for statement in task["ask"]]
        connection.close()
    sys.stdout.write(f"{json.dumps(found)}\n")


if __name__ == "__main__":
    _main()

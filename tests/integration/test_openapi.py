"""The document that the ingress serves, and Schemathesis against the ingress by it."""

import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from deploy.topics import create_topics
from schemas.settings import KafkaSettings
from tests.docs import ROOT
from tests.ingress import Ingress, make_accounts, running_ingress

SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))
CONFIG = str(ROOT / "tests/schemathesis/schemathesis.toml")
SECONDS = 600


class World(NamedTuple):
    """An ingress and a token for it."""

    ingress: Ingress
    token: str

    @property
    def url(self) -> str:
        """Where the document is."""
        return f"{self.ingress.base_url}/openapi.json"


@pytest.fixture(scope="module")
async def world(bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One ingress for all tests of this file."""
    kafka = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_topic_prefix=f"t{uuid.uuid4().hex[:12]}.")
    await create_topics(kafka, 2)
    folder = tmp_path_factory.mktemp("ingress")
    url, token = await make_accounts(folder)
    with running_ingress(kafka, url, folder) as ingress:
        yield World(ingress, token)


def test_document_when_asked_for_without_a_token(world: World) -> None:
    """It is public JSON, and HEAD answers with its headers alone."""
    document, head = requests.get(world.url, timeout=10), requests.head(world.url, timeout=10)

    assert document.json()["openapi"] == "3.1.0"
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(document.content))


@pytest.mark.timeout(SECONDS)
def test_ingress_when_schemathesis_has_tried_everything(world: World, tmp_path: Path) -> None:
    """With all checks on, what the document allows is taken, what it does not is refused, and no answer surprises."""
    command = [SCHEMATHESIS, "--config-file", CONFIG, "run", world.url, "--checks", "all", "--continue-on-failure"]
    env = os.environ | {"EVENTS_TOKEN": world.token, "PYTHONPATH": str(ROOT)}

    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=SECONDS)

    assert done.returncode == 0, done.stdout + done.stderr
    for path in ("/v1/event", "/v1/batch", "/v1/track"):
        assert world.ingress.metric(f'eventsapi_http_requests_total{{route="{path}",status="200"}}') > 0
    assert b"Traceback" not in world.ingress.log.read_bytes()

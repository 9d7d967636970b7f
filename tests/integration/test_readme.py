"""The README's examples, run as they stand."""

import sys

from tests import docs, node
from tests.docs import run
from tests.services import wait_until
from tests.stack import Stack

BLOCKS = docs.blocks("README.md")


def block(language: str, containing: str) -> str:
    """The one code block of the README with these words."""
    return docs.block("README.md", language, containing)


def purchases(stack: Stack) -> int:
    """How many purchases the README's own query shows."""
    return run(["sh", "-euc", block("sh", "FORMAT PrettyCompact")], stack).count("Purchased an Item")


def test_curl_example_when_evaluated_in_a_shell(stack: Stack) -> None:
    """The addresses come into the shell, curl prints a success, and the query shows the event."""
    before = purchases(stack)

    answer = run(["sh", "-euc", block("sh", "X-Auth-Token")], stack)

    assert '"success":true' in answer.replace(" ", "")
    wait_until(lambda: purchases(stack) == before + 1, "the query shows the event")


def test_python_example_when_run(stack: Stack) -> None:
    """The Python example prints a success."""
    assert "200 {'success': True" in run([sys.executable, "-c", block("python", "requests.post")], stack)


def test_node_example_when_run(stack: Stack) -> None:
    """The Node example prints a success."""
    modules = node.install() / "node_modules"

    printed = run([node.BINARY, "-e", block("javascript", "axios")], stack, NODE_PATH=str(modules))

    assert "200 { success: true" in printed


def test_token_example_when_run(stack: Stack) -> None:
    """A team and a token are made; the token is all that standard output holds, and it works."""
    printed = run(["sh", "-euc", block("sh", "events token create acme")], stack)

    token = printed.splitlines()[-1]
    assert token.startswith("evt_")
    curl = block("sh", "X-Auth-Token").replace("$EVENTS_TOKEN", token)
    wait_until(lambda: "true" in run(["sh", "-euc", curl], stack), "the new token is known")


def test_every_block_when_read(stack: Stack) -> None:
    """No code block of the README is left untried: `make up` starts the stack of this test in all but name."""
    tried = ["make up", "X-Auth-Token", "requests.post", "axios", "FORMAT PrettyCompact", "events token create acme"]

    assert stack.status()
    assert [text for _, text in BLOCKS if not any(words in text for words in tried)] == []

"""The examples of docs/api.md, run as they stand."""

import json
from itertools import pairwise

import pytest

from tests import docs
from tests.docs import Block
from tests.stack import Stack

PAGE = docs.blocks("docs/api.md")
# What is another at each answer, or too long for the page.
MASKED = {"id", "request_id", "message"}
SHOWN = [(sh, answer) for sh, answer in pairwise(PAGE) if (sh.language, answer.language) == ("sh", "json")]


def masked(value: object) -> object:
    """The answer without what is another each time."""
    if isinstance(value, dict):
        return {name: "…" if name in MASKED else masked(member) for name, member in value.items()}
    return [masked(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("example", [block.text for block in PAGE if block.language == "sh"])
def test_example_when_run(stack: Stack, example: str) -> None:
    """Each example is answered in JSON; all but those that show a refusal with success."""
    answer = json.loads(docs.run(["sh", "-euc", example], stack))

    assert answer["success"] is (example not in {sh.text for sh, _ in SHOWN})


@pytest.mark.parametrize(("sh", "answer"), SHOWN, ids=["batch", "refusal"])
def test_answer_when_shown(stack: Stack, sh: Block, answer: Block) -> None:
    """An answer on the page is what the example before it is answered with."""
    found = json.loads(docs.run(["sh", "-euc", sh.text], stack))

    assert masked(found) == masked(json.loads(answer.text))


def test_page_when_read() -> None:
    """No other code than these examples and their answers is on the page."""
    assert len(PAGE) == len([block for block in PAGE if block.language == "sh"]) + len(SHOWN)

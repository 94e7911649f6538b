"""The README's examples are run as they stand, but for ports."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.node import ROOT, Node

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.M | re.S)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    own = Node(tmp_path_factory.mktemp("readme")).start()
    yield own
    own.clean_up()


def example(node: Node, language: str, word: str) -> str:
    """The block that has this word in it, for the test's ports."""
    [found] = [text for kind, text in BLOCKS if kind == language and word in text]
    found = found.replace("127.0.0.1:8080", f"127.0.0.1:{node.port}")
    return found.replace('"127.0.0.1", 5222', f'"127.0.0.1", {node.xmpp_port}')


def run(node: Node, name: str, text: str, *arguments: str) -> subprocess.Popen[str]:
    path = node.directory / name
    path.write_text(text)
    return subprocess.Popen(
        [sys.executable, str(path), *arguments],
        cwd=node.directory,
        env=node.env | {"PYTHONWARNINGS": "ignore"},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_examples_of_the_readme_work_together(node: Node) -> None:
    """curl registers Alice and Bob, slixmpp answers as Bob, the JSON example hears the answer."""
    shell = "set -eu\n" + example(node, "sh", "/api/register") + 'echo; echo "token $token"'
    said = subprocess.run(
        ["bash", "-c", shell], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    alice, bob = re.findall(r'\{"id":(\d+),"username":"(?:alice|bob)"', said)[:2]
    token = re.findall(r"^token (\S+)", said, re.M)[0]
    assert '"conversations":[]' in said.replace(" ", "")
    answering = run(node, "bob.py", example(node, "python", "slixmpp"))
    talking = run(node, "chat.py", example(node, "python", "websocket_connect"), alice, token, bob)
    try:
        assert talking.stdout is not None
        heard = []
        for line in talking.stdout:
            heard.append(line)
            if "I read: hello" in line:
                break
        assert '"cmd":1' in heard[0]
        assert "I read: hello" in heard[-1]
    finally:
        for process in (talking, answering):
            process.kill()
            process.wait(10)
            if process.stdout is not None:
                process.stdout.close()


def test_token_as_password_works_as_the_readme_says(node: Node) -> None:
    """The one-line variant of the slixmpp example is an argument that slixmpp knows."""
    [line] = re.findall(r"`(ClientXMPP\(.*sasl_mech.*\))`", README)
    assert line == 'ClientXMPP("bob@localhost", token, sasl_mech="PLAIN")'


def test_links_of_the_documents_lead_somewhere() -> None:
    """No document names a file of the project that is not there."""
    missing = [
        f"{document.name}: {target}"
        for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
        for target in re.findall(r"\]\(([^)#\s]+)", document.read_text())
        if "://" not in target and not (document.parent / target).exists()
    ]
    assert missing == []


def test_chinese_readme_has_the_same_examples() -> None:
    """Code does not differ between the languages."""
    chinese = (ROOT / "README.zh.md").read_text()
    assert re.findall(r"^```(\w*)\n(.*?)^```", chinese, re.M | re.S) == BLOCKS


def test_contract_is_not_referred_to_outside_the_project() -> None:
    """The project stands alone."""
    named = "../" + "shared"
    places = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *Path(ROOT).glob("*/**/*.py")]
    assert [str(p) for p in places if ".venv" not in str(p) and named in p.read_text()] == []

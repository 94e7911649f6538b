"""The command line: what it asks the application for, and its exit status."""

import getpass
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import server
from server.__main__ import main


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, ...]]]:
    """Calls of an application that does nothing: (function, settings, …); each returns 7."""
    made: list[tuple[Any, ...]] = []

    def record(function: str) -> Callable[..., int]:
        return lambda *arguments: made.append((function, *arguments)) or 7

    names = ("serve", "adduser", "deluser", "passwd", "users", "write_assets")
    application = SimpleNamespace(**{name: record(name) for name in names})
    monkeypatch.setitem(sys.modules, "server.app", application)
    monkeypatch.setattr(server, "app", application, raising=False)
    for variable in [name for name in os.environ if name.startswith("TANDEM_")]:
        monkeypatch.delenv(variable)
    yield made


def type_in(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    """Answers to the password prompts, in order."""
    waiting = iter(answers)
    monkeypatch.setattr(getpass, "getpass", lambda prompt: next(waiting))


def pipe_in(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_no_command_serves(calls: list[tuple[Any, ...]]) -> None:
    """Without a command the server runs, and its status is the program's."""
    assert main([]) == 7
    (call,) = calls
    assert (call[0], call[1].http.port) == ("serve", 8080)


@pytest.mark.parametrize("before", [True, False])
def test_config_before_or_after_command_is_used(
    calls: list[tuple[Any, ...]], tmp_path: Path, before: bool
) -> None:
    """--config may stand on either side of the command."""
    config = tmp_path / "own.toml"
    config.write_text("[http]\nport = 9001\n")
    option = ["--config", str(config)]
    assert main([*option, "users"] if before else ["users", *option]) == 7
    (call,) = calls
    assert (call[0], call[1].http.port) == ("users", 9001)


def test_environment_is_used(calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    """TANDEM_ variables of the process reach the settings."""
    monkeypatch.setenv("TANDEM_HTTP_PORT", "9002")
    assert main([]) == 7
    assert calls[0][1].http.port == 9002


@pytest.mark.parametrize("arguments", [[], ["--check-config"], ["users"], ["adduser", "juliet"]])
def test_wrong_settings_are_told_and_nothing_runs(
    calls: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    """Status 2, each mistake on a line of stderr, no prompt."""
    monkeypatch.setenv("TANDEM_HTTP_PORT", "0")
    monkeypatch.setenv("TANDEM_HTTP_PROT", "1")
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(":")[0] for line in err.splitlines()] == ["TANDEM_HTTP_PROT", "http.port"]
    assert calls == []


def test_check_config_well_runs_nothing(
    calls: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    """--check-config ends with 0 and without a server."""
    assert main(["--check-config"]) == 0
    assert capsys.readouterr().out == "the settings are well\n"
    assert calls == []


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """--version needs neither settings nor server."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"Tandem {server.__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["--workers"], ["adduser"], ["deluser"], ["dance"], ["users", "x"]]
)
def test_wrong_arguments_end_with_2(
    calls: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """argparse's own status and usage line."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err
    assert calls == []


@pytest.mark.parametrize("command", ["adduser", "passwd"])
def test_password_typed_twice_is_handed_on(
    calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """The prompt's password, exactly as typed."""
    type_in(monkeypatch, " pass wörd ", " pass wörd ")
    assert main([command, "juliet"]) == 7
    assert calls[0][0] == command
    assert calls[0][2:] == ("juliet", " pass wörd ")


def test_assets_are_written_where_one_says(calls: list[tuple[Any, ...]]) -> None:
    """The directory is handed on."""
    assert main(["assets", "out"]) == 7
    assert (calls[0][0], calls[0][2:]) == ("write_assets", (Path("out"),))


def test_deluser_asks_for_no_password(calls: list[tuple[Any, ...]]) -> None:
    """The operator's word is enough."""
    assert main(["deluser", "juliet"]) == 7
    assert (calls[0][0], calls[0][2:]) == ("deluser", ("juliet",))


def test_passwords_that_differ_are_refused(
    calls: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A slip of the finger does not become a password, and is not shown."""
    type_in(monkeypatch, "password one", "password two")
    assert main(["adduser", "juliet"]) == 1
    assert capsys.readouterr().err == "tandem: the two passwords differ\n"
    assert calls == []


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"secret word\n", "secret word"),
        (b"secret word\r\nmore\n", "secret word"),
        (b" no newline ", " no newline "),
        ("日本語🙂\n".encode(), "日本語🙂"),
    ],
)
def test_password_stdin_takes_the_first_line(
    calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, content: bytes, password: str
) -> None:
    """Without its line end, otherwise unchanged, read as UTF-8 whatever the locale."""
    pipe_in(monkeypatch, content)
    assert main(["passwd", "juliet", "--password-stdin"]) == 7
    assert calls[0][2:] == ("juliet", password)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\n"])
def test_password_stdin_empty_or_not_text_is_refused(
    calls: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes,
) -> None:
    """No account without a password because a pipe broke."""
    pipe_in(monkeypatch, content)
    assert main(["adduser", "juliet", "--password-stdin"]) == 1
    assert "standard input" in capsys.readouterr().err
    assert calls == []


@pytest.mark.parametrize(("error", "status"), [(EOFError, 1), (KeyboardInterrupt, 130)])
def test_prompt_left_ends_quietly(
    calls: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: type[BaseException],
    status: int,
) -> None:
    """Ctrl-D and Ctrl-C at the prompt show no traceback."""

    def leave(prompt: str) -> str:
        raise error

    monkeypatch.setattr(getpass, "getpass", leave)
    assert main(["adduser", "juliet"]) == status
    assert "Traceback" not in capsys.readouterr().err
    assert calls == []

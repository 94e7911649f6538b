"""No token reaches the log: ``handlers/hygiene.py``."""

import io
import logging
from collections.abc import Iterator

import pytest

from handlers.hygiene import install_log_hygiene, redact


@pytest.mark.parametrize(
    "line",
    [
        "GET /chat?id=10000&token=SECRET (127.0.0.1)",
        "GET /chat?token=SECRET&id=10000",
        "GET /chat?ticket=SECRET",
        "{'Authorization': 'Bearer SECRET'}",
        "authorization: bearer  SECRET",
        '{"refresh_token": "SECRET"}',
        '{"ticket":"SECRET"}',
        "somewhere eyJTRUNSRVQ.SECRET.SECRET-x_y",
    ],
)
def test_redact_of_line_with_secret_hides_only_it(line: str) -> None:
    """Wherever a token can stand, the rest of the line stays readable."""
    clean = redact(line)
    assert "SECRET" not in clean
    assert "***" in clean
    assert clean.split()[0][:3] == line.split()[0][:3]


def test_redact_of_plain_line_changes_nothing() -> None:
    """Words of the field alone are no secret."""
    line = "session_ended user=10000 reason='token expired' path='/api/token'"
    assert redact(line) == line


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """What the root logger's only handler writes."""
    root = logging.getLogger()
    before, handler = root.handlers[:], logging.StreamHandler(io.StringIO())
    root.handlers[:] = [handler]
    yield handler.stream
    root.handlers[:] = before


def test_install_log_hygiene_cleans_arguments_and_tracebacks(output: io.StringIO) -> None:
    """A line of any logger, its arguments and its traceback are redacted; nothing is lost."""
    install_log_hygiene()
    install_log_hygiene()
    try:
        raise ValueError("bad url /chat?token=SECRET")
    except ValueError:
        logging.getLogger("anybody").exception("refused %s %d", "/chat?token=SECRET", 7)
    text = output.getvalue()
    assert "SECRET" not in text
    assert "refused /chat?token=*** 7" in text
    assert "ValueError: bad url /chat?token=***" in text

"""Answers that are written in pieces, and what becomes of them when that fails in the middle."""

import asyncio
import logging
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.iostream import IOStream
from tornado.tcpclient import TCPClient
from tornado.web import Application

from handlers.api import ApiHandler, Streamed, endpoint, endpoints
from handlers.http import TandemApplication
from server.errors import StorageAway
from server.metrics import Metrics
from server.services import Services


class Words(msgspec.Struct):
    """What is streamed."""

    words: list[str]


class Talker(ApiHandler):
    """Ends as the path says."""

    @endpoint(public=True)
    async def get(self, how: str) -> Streamed[Words]:
        """Talk."""
        return Streamed(self._say(how))

    async def _say(self, how: str) -> AsyncIterator[bytes]:
        if how == "away":
            raise StorageAway("test")
        yield b'{"words":["'
        yield b"x" * 100_000
        if how == "cut":
            raise StorageAway("test")
        while how == "endless":
            yield b"x" * 100_000
        yield b'"]}'


@pytest.fixture
def app() -> Application:
    http = SimpleNamespace(trusted_proxies=(), public_url="", allowed_origins=())
    settings = SimpleNamespace(http=http, limits=SimpleNamespace(http_body_bytes=100))
    services = cast(Services, SimpleNamespace(settings=settings, metrics=Metrics()))
    return TandemApplication(services, [(r"/(?P<how>.*)", Talker, {"services": services})])


def test_streamed_result_is_described_by_what_it_is_the_json_of() -> None:
    """The OpenAPI document needs the type of the whole."""
    call = endpoints(Talker)["get"]
    assert (call.streams, call.result) == (True, Words)


@pytest.mark.gen_test(timeout=20)
async def test_whole_answer_is_the_json(http_server: Any, base_url: str) -> None:
    """With its media type."""
    response = await AsyncHTTPClient().fetch(f"{base_url}/whole")
    assert msgspec.json.decode(response.body, type=Words).words == ["x" * 100_000]
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.gen_test(timeout=20)
async def test_failure_before_the_first_piece_is_a_problem(http_server: Any, base_url: str) -> None:
    """503, like any other call's."""
    with pytest.raises(HTTPClientError) as refused:
        await AsyncHTTPClient().fetch(f"{base_url}/away")
    assert refused.value.code == 503


@pytest.mark.gen_test(timeout=20)
async def test_failure_in_the_middle_cuts_the_answer_off(http_server: Any, base_url: str) -> None:
    """A reader does not take half of it for the whole."""
    with pytest.raises(HTTPClientError) as broken:
        await AsyncHTTPClient().fetch(f"{base_url}/cut")
    assert broken.value.code == 599


@pytest.mark.gen_test(timeout=20)
async def test_reader_that_goes_ends_the_answer_quietly(
    http_server: Any, http_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """No more pieces are asked for, and nobody is alarmed."""
    stream: IOStream = await TCPClient().connect("127.0.0.1", http_port)
    await stream.write(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with caplog.at_level(logging.DEBUG):
        await stream.read_bytes(200_000)
        stream.close()
        async with asyncio.timeout(10):
            while "http_reader_gone" not in caplog.text:
                await asyncio.sleep(0.01)
    assert [each for each in caplog.records if each.levelno > logging.INFO] == []

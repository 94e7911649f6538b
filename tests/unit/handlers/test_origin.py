"""Which pages may talk to the service: ``handlers/origin.py``."""

import pytest

from handlers.origin import is_loopback, normal_origin, own_origin, why_refused

PUBLIC = "https://chat.example"
PARTNER = "https://partner.example"
HERE = "127.0.0.1:8080"


def refusal(
    *origins: str,
    host: str = HERE,
    scheme: str = "http",
    public_url: str = "",
    allowed: tuple[str, ...] = (),
    from_browser: bool = True,
) -> str | None:
    """:func:`why_refused` for a request that a browser made to a service on loopback."""
    return why_refused(
        origins,
        from_browser=from_browser,
        scheme=scheme,
        host=host,
        public_url=public_url,
        allowed=allowed,
    )


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://localhost:8080", "localhost:8080"),
        ("http://LOCALHOST:8080", "LocalHost:8080"),
        ("http://localhost", "localhost"),
        ("http://localhost", "localhost:80"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("http://127.8.9.10:1", "127.8.9.10:1"),
    ],
)
def test_page_of_loopback_host_is_served(origin: str, host: str) -> None:
    """Without a public address, our own page is one of the same loopback host and port."""
    assert refusal(origin, host=host) is None


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", HERE),
        ("http://127.0.0.1:8081", HERE),
        ("http://localhost:8080", HERE),
        ("https://127.0.0.1:8080", HERE),
        ("http://127.0.0.1", HERE),
        ("http://127.0.0.1:8080.evil.example", HERE),
        ("http://127.0.0.1:8080@evil.example", HERE),
        ("http://user@127.0.0.1:8080", HERE),
        ("http://127.0.0.1:8080/", HERE),
        ("http://127.0.0.1:8080/path", HERE),
        ("http://127.0.0.1:8080 http://127.0.0.1:8080", HERE),
        ("http://127.0.0.1:8080, http://evil.example", HERE),
        ("http://127.0.0.1:8080\n", HERE),
        ("null", HERE),
        ("", HERE),
        ("file://", HERE),
        ("127.0.0.1:8080", HERE),
        ("http://evil.example", "evil.example"),
        ("http://evil.example:8080", "evil.example:8080"),
        ("http://127.0.0.1.evil.example", "127.0.0.1.evil.example"),
        ("http://localhost.evil.example", "localhost.evil.example"),
        ("http://127.1:8080", "127.1:8080"),
        ("http://192.168.1.5:8080", "192.168.1.5:8080"),
        ("http://0.0.0.0:8080", "0.0.0.0:8080"),
        ("http://", ""),
    ],
)
def test_page_of_foreign_or_rebound_host_is_refused(origin: str, host: str) -> None:
    """A foreign page, a malformed origin or a name that merely resolves to us is refused."""
    assert refusal(origin, host=host) is not None


@pytest.mark.parametrize(
    ("origin", "public_url"),
    [
        (PUBLIC, PUBLIC),
        ("https://chat.example:443", PUBLIC),
        ("https://CHAT.example", "https://chat.example/"),
        ("https://chat.example:8443", "https://chat.example:8443"),
    ],
)
def test_page_of_public_url_is_served_whatever_host_came(origin: str, public_url: str) -> None:
    """With a public address the Host does not count: a proxy may have rewritten it."""
    assert refusal(origin, public_url=public_url, host="backend.internal:9000") is None


@pytest.mark.parametrize(
    "origin", ["http://127.0.0.1:8080", "http://chat.example", "https://chat.example.evil.example"]
)
def test_page_beside_public_url_is_refused(origin: str) -> None:
    """With a public address even the loopback host's pages are foreign."""
    assert refusal(origin, public_url=PUBLIC) is not None


@pytest.mark.parametrize(
    "allowed", [PARTNER, "https://partner.example/", "https://PARTNER.example"]
)
def test_page_of_allowed_origin_is_served(allowed: str) -> None:
    """``http.allowed_origins`` are compared as origins, not as text."""
    assert refusal(PARTNER, allowed=(allowed,)) is None


@pytest.mark.parametrize("origin", ["https://other.example", "null", "http://partner.example"])
def test_page_outside_allowed_origins_is_refused(origin: str) -> None:
    """Neither another scheme nor an opaque origin can be allowed by accident."""
    assert refusal(origin, allowed=(PARTNER, "null", "*")) is not None


def test_two_origin_headers_are_refused() -> None:
    """Which one is meant cannot be known, though each alone would pass."""
    assert refusal("http://127.0.0.1:8080", "http://127.0.0.1:8080") is not None


@pytest.mark.parametrize(
    ("host", "from_browser", "public_url", "served"),
    [
        (HERE, False, "", True),
        (HERE, True, "", True),
        ("evil.example", False, "", True),
        ("evil.example", True, "", False),
        ("evil.example", True, PUBLIC, True),
    ],
)
def test_request_without_origin_depends_on_browser_and_host(
    host: str, from_browser: bool, public_url: str, served: bool
) -> None:
    """A browser's same-origin GET has no Origin; under a rebound name it is refused too."""
    refused = refusal(host=host, from_browser=from_browser, public_url=public_url)
    assert (refused is None) is served


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("HTTPS://Chat.Example:443", "https://chat.example"),
        ("http://a:80", "http://a"),
        ("http://a:443", "http://a:443"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("http://a:123456", None),
        ("http://a\n", None),
        ("http://é.example", None),
    ],
)
def test_normal_origin_of_text_is_lower_case_without_default_port(
    text: str, normal: str | None
) -> None:
    """Two ways to write one origin become the same text; what is none becomes None."""
    assert normal_origin(text) == normal


@pytest.mark.parametrize(
    "host", ["localhost.", "[::2]", "10.0.0.1", "127.0.0.1:", "[::1", "2130706433"]
)
def test_is_loopback_for_other_host_is_false(host: str) -> None:
    """Only the plain spellings of this machine count."""
    assert not is_loopback(host)


def test_own_origin_behind_tls_has_its_scheme() -> None:
    """The scheme is that of the request, so a plain page cannot pass for the TLS one."""
    assert own_origin("", "https", "localhost:8443") == "https://localhost:8443"

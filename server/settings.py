"""Settings: ``conf/default.toml``, under a file of the operator's, under ``TANDEM_*`` variables.

The one place that knows which sections and keys exist, their types and their ranges; what each
means and why its default is what it is stands in ``conf/default.toml``. :func:`load` reports
everything that is wrong at once, and never shows the value of a secret.
"""

import base64
import dataclasses
import difflib
import importlib.resources
import ipaddress
import re
import ssl
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

DEFAULTS = importlib.resources.files(__package__).joinpath("../conf/default.toml")
"""Beside the package ``server``, in a checkout as in an installed wheel."""

ENV_PREFIX = "TANDEM_"
SIGNING_KEY_BYTES = 32
"""Least length of ``auth.signing_key``: RFC 7518 section 3.2 wants a key as long as the hash."""


class SettingsError(Exception):
    """All that is wrong; ``str`` has a line each: ``section.key: what is wrong (its source)``."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def _within(low: float, high: float) -> Any:
    """A number from ``low`` to ``high``, both included."""
    return field(metadata={"range": (low, high)})


def _text(check: Callable[[str], str | None], *, secret: bool = False) -> Any:
    """Text, or a list of texts, of which ``check`` tells what is wrong. Empty is always allowed."""
    return field(metadata={"check": check, "secret": secret}, repr=not secret)


def _address_flaw(value: str) -> str | None:
    return None if value == "localhost" or _ip(value) else "is not an IP address or localhost"


def _network_flaw(value: str) -> str | None:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        return "is not an IP address or network such as 10.0.0.0/8"
    return None


def _origin_flaw(value: str) -> str | None:
    if re.fullmatch(r"https?://([\w.-]+|\[[\da-fA-F:.]+\])(:\d{1,5})?/?", value, re.ASCII):
        return None
    return "is not scheme, host and port alone, such as https://chat.example.org"


def _base_flaw(value: str) -> str | None:
    if re.fullmatch(
        r"https?://([\w.-]+|\[[\da-fA-F:.]+\])(:\d{1,5})?(/[\w.~-]+)*/?", value, re.ASCII
    ):
        return None
    return "is not an address such as https://files.example.org/files"


def _assets_flaw(value: str) -> str | None:
    if _base_flaw(value) or value.endswith("/"):
        return "is not an address without / at its end, such as https://cdn.example.org/tandem"
    return None


def _domain_flaw(value: str) -> str | None:
    label = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if len(value) > 242:  # so that conference.<domain> is still within DNS's 253
        return "is longer than 242 characters"
    if not re.fullmatch(rf"({label}\.)*{label}", value) or _ip(value):
        return "is not a host name in lower case such as example.org"
    return None


def _database_flaw(value: str) -> str | None:
    if re.fullmatch("[A-Za-z0-9_-]{1,63}", value):
        return None
    return "must be 1 to 63 letters, digits, - or _"


def _url_flaw(*schemes: str) -> Callable[[str], str | None]:
    def flaw(value: str) -> str | None:
        if any(value.startswith(start) and value != start for start in schemes):
            return None
        return f"must begin with {' or '.join(schemes)}"

    return flaw


def _bus_flaw(value: str) -> str | None:
    for url in value.split(","):
        if flaw := _url_flaw("nats://", "tls://")(url.strip()):
            return flaw
    return None


def _subject_flaw(value: str) -> str | None:
    if re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", value) and len(value) <= 100:
        return None
    return "must be up to 100 letters, digits, - or _ in parts separated by dots"


def _signing_key_flaw(value: str) -> str | None:
    try:
        size = len(base64.b64decode(value, validate=True))
    except ValueError:
        return "is not base64; make one with: openssl rand -base64 32"
    if size < SIGNING_KEY_BYTES:
        return f"has {size} bytes, needs at least {SIGNING_KEY_BYTES}: openssl rand -base64 32"
    return None


def _ip(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(value)
    except ValueError:
        return None


def _is_loopback(address: str) -> bool:
    ip = _ip(address)
    return ip.is_loopback if ip else address == "localhost"


@dataclass(frozen=True, kw_only=True)
class Http:
    """Pages, API and both WebSockets."""

    address: str = _text(_address_flaw)
    port: int = _within(1, 65535)
    public_url: str = _text(_origin_flaw)
    allowed_origins: tuple[str, ...] = _text(_origin_flaw)
    tls_certificate: str
    tls_key: str
    compression: bool
    trusted_proxies: tuple[str, ...] = _text(_network_flaw)


@dataclass(frozen=True, kw_only=True)
class Xmpp:
    """XMPP over TCP, and the domain of every JID."""

    domain: str = _text(_domain_flaw)
    address: str = _text(_address_flaw)
    port: int = _within(0, 65535)
    tls_port: int = _within(0, 65535)
    plaintext: Literal["loopback", "never"]
    tls_certificate: str
    tls_key: str
    offline_messages: int = _within(0, 10_000)
    resume_s: int = _within(1, 86_400)
    unacked_stanzas: int = _within(1, 100_000)
    unacked_bytes: int = _within(262_144, 1_073_741_824)
    room_occupants: int = _within(0, 5000)
    room_history: int = _within(0, 200)
    pep_nodes: int = _within(1, 10_000)
    pep_items: int = _within(1, 10_000)
    pep_item_bytes: int = _within(1024, 4_194_304)


@dataclass(frozen=True, kw_only=True)
class Data:
    """What the node keeps on disk."""

    dir: Path


@dataclass(frozen=True, kw_only=True)
class Files:
    """Uploaded files."""

    dir: str
    url: str = _text(_base_flaw)
    upload_bytes: int = _within(1, 10_737_418_240)
    uploads_per_minute: int = _within(1, 100_000)
    bytes_per_day: int = _within(1, 1_099_511_627_776)
    slot_s: int = _within(1, 3600)
    upload_s: float = _within(1, 86_400)
    reserve_bytes: int = _within(0, 1_099_511_627_776)


@dataclass(frozen=True, kw_only=True)
class Web:
    """The chat page."""

    assets_url: str = _text(_assets_flaw)


@dataclass(frozen=True, kw_only=True)
class Mongodb:
    """The database."""

    url: str = _text(_url_flaw("mongodb://", "mongodb+srv://"), secret=True)
    database: str = _text(_database_flaw)
    binary: str
    cache_mb: int = _within(256, 1_048_576)
    server_selection_timeout_s: float = _within(0.1, 30)
    write_timeout_s: float = _within(0.5, 60)


@dataclass(frozen=True, kw_only=True)
class Bus:
    """What joins several nodes."""

    url: str = _text(_bus_flaw, secret=True)
    subject: str = _text(_subject_flaw)
    binary: str
    credentials: str
    tls_ca: str
    tls_certificate: str
    tls_key: str
    plaintext_confirmed: bool


@dataclass(frozen=True, kw_only=True)
class Auth:
    """Accounts, passwords and tokens."""

    registration: Literal["open", "invite", "closed"]
    registration_confirmed: bool
    signing_key: str = _text(_signing_key_flaw, secret=True)
    access_token_s: int = _within(1, 86_400)
    refresh_token_s: int = _within(1, 31_536_000)
    ticket_s: int = _within(1, 300)
    scram: bool
    scram_sha1_iterations: int = _within(4096, 10_000_000)
    scram_sha256_iterations: int = _within(4096, 10_000_000)
    hash_threads: int = _within(1, 64)
    hash_queue: int = _within(1, 10_000)
    argon2_memory_kib: int = _within(1024, 4_194_304)
    argon2_passes: int = _within(1, 100)


@dataclass(frozen=True, kw_only=True)
class Search:
    """The search in messages."""

    enabled: bool


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one account, address or connection may take."""

    rate_scale: float = _within(0.01, 1_000_000)
    connections_per_user: int = _within(1, 1000)
    connections_per_address: int = _within(1, 1_000_000)
    unauthenticated_per_address: int = _within(1, 1_000_000)
    login_time_s: float = _within(1, 300)
    sends_per_second: float = _within(0.1, 1_000_000)
    sends_burst: int = _within(1, 1_000_000)
    unanswered_sends: int = _within(1, 10_000)
    frame_bytes: int = _within(4096, 16_777_216)
    frame_depth: int = _within(4, 256)
    content_chars: int = _within(1, 100_000)
    outbox_bytes: int = _within(65_536, 268_435_456)
    silence_s: float = _within(1, 3600)
    bad_frames_per_minute: int = _within(1, 1000)
    login_failures: int = _within(1, 1000)
    login_failures_per_hour: int = _within(1, 100_000)
    registrations_per_hour: int = _within(1, 100_000)
    recall_s: float = _within(1, 31_536_000)
    receipt_members: int = _within(0, 5000)
    app_passwords: int = _within(1, 100)
    exports_per_hour: int = _within(1, 1000)
    group_members: int = _within(2, 5000)
    groups_per_hour: int = _within(1, 100_000)
    contacts: int = _within(1, 10_000)
    contact_requests_per_hour: int = _within(1, 100_000)
    searches_per_minute: int = _within(1, 100_000)
    page_messages: int = _within(1, 200)
    page_bytes: int = _within(4096, 16_777_216)
    queue_documents: int = _within(1, 1_000_000)
    queue_bytes: int = _within(65_536, 1_073_741_824)
    stanza_bytes: int = _within(10_000, 8_388_608)
    stanza_depth: int = _within(8, 255)
    prelogin_bytes: int = _within(2048, 65_536)
    prelogin_elements: int = _within(8, 1000)
    http_header_bytes: int = _within(1024, 1_048_576)
    http_header_s: float = _within(1, 300)
    http_body_bytes: int = _within(1024, 16_777_216)
    http_body_s: float = _within(1, 600)
    shutdown_s: float = _within(5, 300)
    hold_s: float = _within(1, 60)


@dataclass(frozen=True, kw_only=True)
class Log:
    """What is told of the running node."""

    level: Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All sections. Made by :func:`load` only, so every value is within its range."""

    http: Http
    xmpp: Xmpp
    data: Data
    files: Files
    web: Web
    mongodb: Mongodb
    bus: Bus
    auth: Auth
    search: Search
    limits: Limits
    log: Log


class _Key(NamedTuple):
    """One key: its type and the metadata of its field."""

    kind: Any
    rules: Mapping[str, Any]


class _Value(NamedTuple):
    """A raw value, and the file or variable that it came from."""

    raw: object
    source: str


_MAY_NOT_BE_EMPTY = {
    "bus.subject",
    "http.address",
    "xmpp.address",
    "xmpp.domain",
    "data.dir",
    "mongodb.database",
}

_SECTIONS: Mapping[str, type] = get_type_hints(Settings)
_KEYS: Mapping[str, _Key] = {
    f"{section}.{key.name}": _Key(get_type_hints(cls)[key.name], key.metadata)
    for section, cls in _SECTIONS.items()
    for key in dataclasses.fields(cls)
}
_VARIABLES: Mapping[str, str] = {
    f"{ENV_PREFIX}{name.replace('.', '_').upper()}": name for name in _KEYS
}


def load(config: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings: the defaults, then the file ``config``, then ``TANDEM_<SECTION>_<KEY>``.

    Raises :class:`SettingsError` with everything that is wrong in any of them.
    """
    problems: list[str] = []
    raw = _from_toml(DEFAULTS.read_bytes(), "conf/default.toml", problems)
    if config is not None:
        try:
            raw |= _from_toml(config.read_bytes(), str(config), problems)
        except (OSError, ValueError) as error:
            problems.append(f"{config}: cannot be read: {_why(error)}")
    raw |= _from_environment(environ, problems)
    values: dict[str, Any] = {}
    for name, key in _KEYS.items():
        if name not in raw:
            problems.append(f"{name}: is missing (conf/default.toml)")
            continue
        try:
            values[name] = _convert(name, key, raw[name].raw)
        except ValueError as error:
            problems.append(f"{name}: {error} ({raw[name].source})")
    problems += _conflicts(values, raw)
    if problems:
        raise SettingsError(problems)
    return Settings(
        **{
            section: cls(**{f.name: values[f"{section}.{f.name}"] for f in dataclasses.fields(cls)})
            for section, cls in _SECTIONS.items()
        }
    )


def _from_toml(text: bytes, source: str, problems: list[str]) -> dict[str, _Value]:
    """The known keys of one file; the rest becomes ``problems``."""
    try:
        document = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:
        problems.append(f"{source}: is not TOML: {_why(error)}")
        return {}
    found: dict[str, _Value] = {}
    for section, content in document.items():
        if section not in _SECTIONS:
            problems.append(f"{section}: unknown section{_nearest(section, _SECTIONS)} ({source})")
        elif not isinstance(content, dict):
            problems.append(f"{section}: must be a section, [{section}] ({source})")
        else:
            for key, raw in content.items():
                name = f"{section}.{key}"
                if name in _KEYS:
                    found[name] = _Value(raw, source)
                else:
                    problems.append(f"{name}: unknown key{_nearest(name, _KEYS)} ({source})")
    return found


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> dict[str, _Value]:
    """The variables with our prefix; each is known or becomes one of ``problems``."""
    found: dict[str, _Value] = {}
    for variable, text in environ.items():
        if variable in _VARIABLES:
            found[_VARIABLES[variable]] = _Value(_from_text(_VARIABLES[variable], text), variable)
        elif variable.startswith(ENV_PREFIX):
            problems.append(
                f"{variable}: unknown variable{_nearest(variable, _VARIABLES)} (environment)"
            )
    return found


def _from_text(name: str, text: str) -> object:
    """A variable's text as TOML would have given it; unchanged where it does not fit its type."""
    kind = _KEYS[name].kind
    if get_origin(kind) is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind is bool:
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    if kind is int and re.fullmatch("-?[0-9]{1,18}", text):
        return int(text)
    if kind is float and re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", text):
        return float(text)
    return text


def _convert(name: str, key: _Key, raw: object) -> Any:
    """A raw value as its key's type. Raises ``ValueError`` with what is wrong."""
    shown = "" if key.rules.get("secret") else f", not {_shown(raw)}"
    if get_origin(key.kind) is Literal:
        choices = get_args(key.kind)
        if not isinstance(raw, str) or raw not in choices:
            raise ValueError(f"must be {' or '.join(choices)}{shown}")
        return raw
    if key.kind is bool:
        if not isinstance(raw, bool):
            raise ValueError(f"must be true or false{shown}")
        return raw
    if key.kind in (int, float):
        return _number(key, raw, shown)
    if get_origin(key.kind) is tuple:
        if not isinstance(raw, list):
            raise ValueError(f"must be a list of texts{shown}")
        return tuple(_checked(name, key, one) for one in raw)
    text = _checked(name, key, raw)
    return Path(text) if key.kind is Path else text


def _number(key: _Key, raw: object, shown: str) -> float:
    whole = key.kind is int
    allowed = int if whole else (int, float)
    if isinstance(raw, bool) or not isinstance(raw, allowed):
        raise ValueError(f"must be a {'whole number' if whole else 'number'}{shown}")
    low, high = key.rules["range"]
    if not low <= raw <= high:
        raise ValueError(f"must be from {low} to {high}{shown}")
    return int(raw) if whole else float(raw)


def _checked(name: str, key: _Key, raw: object) -> str:
    shown = "" if key.rules.get("secret") else f"{_shown(raw)} "
    if not isinstance(raw, str):
        raise ValueError(f"{shown}is not text".lstrip())
    if not raw:
        if name in _MAY_NOT_BE_EMPTY:
            raise ValueError("must not be empty")
        return raw
    if any(char < " " or char == "\x7f" for char in raw):
        raise ValueError(f"{shown}has a control character")
    check = key.rules.get("check")
    if check and (flaw := check(raw)):
        raise ValueError(f"{shown}{flaw}")
    return raw


def _conflicts(values: Mapping[str, Any], raw: Mapping[str, _Value]) -> list[str]:
    """What is wrong between keys that are each well by themselves."""
    problems: list[str] = []

    def conflict(name: str, wrong: str) -> None:
        problems.append(f"{name}: {wrong} ({raw[name].source})")

    def known(*names: str) -> list[Any] | None:
        return [values[name] for name in names] if all(name in values for name in names) else None

    if values.get("auth.registration") == "open" and not values.get("auth.registration_confirmed"):
        for name in ("http.address", "xmpp.address"):
            if name in values and not _is_loopback(values[name]):
                conflict(
                    "auth.registration",
                    f"is open to everybody who reaches {name} {values[name]}: close it, "
                    "or set auth.registration_confirmed = true",
                )
    for section in ("http", "xmpp"):
        if pair := known(f"{section}.tls_certificate", f"{section}.tls_key"):
            for name, wrong in _tls_flaws(section, *pair):
                conflict(name, wrong)
    if bus := known("bus.url", "bus.credentials", "bus.tls_certificate", "bus.plaintext_confirmed"):
        for wrong in _bus_risks(*bus):
            conflict("bus.url", wrong)
    if pair := known("bus.tls_certificate", "bus.tls_key"):
        for name, wrong in _tls_flaws("bus", *pair):
            conflict(name, wrong)
    taken: dict[int, str] = {}
    for name in ("http.port", "xmpp.port", "xmpp.tls_port"):
        port = values.get(name, 0)
        if port and taken.setdefault(port, name) != name:
            conflict(name, f"is the port of {taken[port]}, too")
    for name, other in (
        ("auth.refresh_token_s", "auth.access_token_s"),
        ("limits.outbox_bytes", "limits.page_bytes"),
        ("limits.outbox_bytes", "limits.frame_bytes"),
        ("files.bytes_per_day", "files.upload_bytes"),
    ):
        if (both := known(name, other)) and both[0] < both[1]:
            conflict(name, f"must be at least {other}, which is {both[1]}")
    return problems


def _bus_risks(urls: str, credentials: str, certificate: str, plaintext: bool) -> list[str]:
    """What others on the way to the nats-server could do, and must not."""
    risks: list[str] = []
    for url in filter(None, urls.split(",")):
        parts = urlsplit(url.strip())
        if _is_loopback(parts.hostname or ""):
            continue
        if parts.scheme != "tls" and not plaintext:
            risks.append(
                f"would carry messages to {parts.hostname} for all to read: use tls://, "
                "or set bus.plaintext_confirmed = true where the network itself is encrypted"
            )
        if not (parts.username or credentials or certificate):
            risks.append(
                f"{parts.hostname} would take anybody as a node: put user and password, or a "
                "token, into the address, or set bus.credentials or bus.tls_certificate"
            )
    return risks


def _tls_flaws(section: str, certificate: str, key: str) -> list[tuple[str, str]]:
    """What is wrong with a section's certificate and key, each with the name of its key."""
    flaws: list[tuple[str, str]] = []
    for name, path, other in (("certificate", certificate, key), ("key", key, certificate)):
        try:
            if path:
                Path(path).read_bytes()
            elif other:
                flaws.append(
                    (f"{section}.tls_{name}", "is empty, but the other of the pair is not")
                )
        except OSError as error:
            flaws.append((f"{section}.tls_{name}", f"{_shown(path)} cannot be read: {_why(error)}"))
    if certificate and not flaws:
        try:
            # The empty password keeps OpenSSL from asking for one on the terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
        except OSError:
            wrong = f"is not the PEM key, without a password, of {_shown(certificate)}"
            flaws.append((f"{section}.tls_key", f"{_shown(key)} {wrong}"))
    return flaws


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {near[0]}?" if near else ""


def _shown(raw: object) -> str:
    text = repr(raw)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

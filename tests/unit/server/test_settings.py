"""Settings: what is taken from where, and that every mistake is told at once."""

import base64
import datetime
import re
import tomllib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from server.settings import DEFAULTS, Settings, SettingsError, load

CONF = Path(__file__).parents[3] / "conf"


def problems(config: Path | None = None, **environ: str) -> list[str]:
    """What is wrong with settings; fails where nothing is."""
    with pytest.raises(SettingsError) as caught:
        load(config, {f"TANDEM_{name}": value for name, value in environ.items()})
    return str(caught.value).splitlines()


def with_env(**environ: str) -> Settings:
    return load(None, {f"TANDEM_{name}": value for name, value in environ.items()})


def toml(directory: Path, text: str) -> Path:
    path = directory / "own.toml"
    path.write_text(text)
    return path


def key_pair(directory: Path, name: str) -> tuple[str, str]:
    """PEM files of a fresh self-signed certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    paths = directory / f"{name}.crt", directory / f"{name}.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(paths[0]), str(paths[1])


def test_defaults_alone_are_the_wire_contract() -> None:
    """A fresh server listens on loopback with the names and numbers that clients know."""
    settings = load(None, {"PATH": "/bin", "HOME": "/root"})
    assert (settings.http.address, settings.http.port) == ("127.0.0.1", 8080)
    assert (settings.xmpp.domain, settings.xmpp.address) == ("localhost", "127.0.0.1")
    assert (settings.xmpp.port, settings.xmpp.tls_port) == (5222, 5223)
    assert settings.xmpp.plaintext == "loopback"
    assert settings.data.dir == Path("var")
    assert settings.mongodb.url == settings.bus.url == settings.auth.signing_key == ""
    assert (settings.auth.registration, settings.auth.registration_confirmed) == ("open", False)
    assert (settings.auth.access_token_s, settings.auth.refresh_token_s) == (900, 14 * 24 * 3600)
    assert settings.limits.frame_bytes == 256 * 1024
    assert settings.limits.content_chars == 20_000
    assert settings.limits.rate_scale == 1
    assert settings.http.allowed_origins == ()


def test_default_file_every_key_explained_before_it() -> None:
    """Each key of default.toml stands below a comment, alone or in a pair that shares one."""
    lines = DEFAULTS.read_text().splitlines()
    bare = [
        line
        for two_up, up, line in zip(["", "", *lines], ["", *lines], lines, strict=False)
        if re.match("[a-z]", line) and not (up.startswith("#") or two_up.startswith("#"))
    ]
    assert bare == []


def test_file_overrides_default_and_variable_overrides_file(tmp_path: Path) -> None:
    """default.toml < --config < environment, key by key."""
    config = toml(tmp_path, '[http]\nport = 9001\npublic_url = "https://a.example"\n')
    settings = load(config, {"TANDEM_HTTP_PORT": "9002"})
    assert settings.http.port == 9002
    assert settings.http.public_url == "https://a.example"
    assert settings.http.address == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("1", True), ("false", False), ("0", False), ("True", True)]
)
def test_boolean_variable_is_read(text: str, value: bool) -> None:
    """true, false, 1 and 0 in any case."""
    assert with_env(AUTH_SCRAM=text).auth.scram is value


def test_list_variable_is_split_at_commas() -> None:
    """Blanks around commas and empty parts do not count; an empty variable is an empty list."""
    settings = with_env(HTTP_ALLOWED_ORIGINS="https://a.example, http://b.example:81,")
    assert settings.http.allowed_origins == ("https://a.example", "http://b.example:81")
    assert with_env(HTTP_ALLOWED_ORIGINS="").http.allowed_origins == ()


def test_number_variable_has_its_type() -> None:
    """Whole numbers stay whole; a float key takes both spellings."""
    settings = with_env(LIMITS_HOLD_S="2", LIMITS_RATE_SCALE="0.5", LIMITS_SENDS_BURST="7")
    assert (settings.limits.hold_s, settings.limits.rate_scale) == (2.0, 0.5)
    assert isinstance(settings.limits.hold_s, float)
    assert settings.limits.sends_burst == 7


def test_mistakes_of_all_sources_told_at_once(tmp_path: Path) -> None:
    """One line each, with the key, what is wrong and where it came from."""
    config = toml(
        tmp_path,
        'nonsense = 1\nlog = "debug"\n[htpp]\nport = 1\n[http]\nprot = 1\nport = "9"\n'
        '[limits]\nrate_scale = true\n[xmpp]\nplaintext = "always"\n',
    )
    told = problems(config, AUTH_TICKET_S="0", HTTP_PROT="1", MONGO_URL="mongodb://x")
    assert told == [
        f"nonsense: unknown section ({config})",
        f"log: must be a section, [log] ({config})",
        f"htpp: unknown section, did you mean http? ({config})",
        f"http.prot: unknown key, did you mean http.port? ({config})",
        "TANDEM_HTTP_PROT: unknown variable, did you mean TANDEM_HTTP_PORT? (environment)",
        "TANDEM_MONGO_URL: unknown variable, did you mean TANDEM_MONGODB_URL? (environment)",
        f"http.port: must be a whole number, not '9' ({config})",
        f"xmpp.plaintext: must be loopback or never, not 'always' ({config})",
        "auth.ticket_s: must be from 1 to 300, not 0 (TANDEM_AUTH_TICKET_S)",
        f"limits.rate_scale: must be a number, not True ({config})",
    ]


def test_key_in_wrong_section_names_the_right_one(tmp_path: Path) -> None:
    """The nearest name is looked for in all sections."""
    assert "did you mean xmpp.domain?" in problems(toml(tmp_path, '[http]\ndomain = "x"\n'))[0]


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        ("http.port", "0", "must be from 1 to 65535, not 0"),
        ("http.port", "65536", "must be from 1 to 65535, not 65536"),
        ("http.port", "8_0", "must be a whole number, not '8_0'"),
        ("http.port", "８０", "must be a whole number, not '８０'"),
        ("http.port", "80.0", "must be a whole number, not '80.0'"),
        ("http.port", "", "must be a whole number, not ''"),
        ("limits.rate_scale", "nan", "must be a number, not 'nan'"),
        ("auth.scram", "yes", "must be true or false, not 'yes'"),
        ("http.address", "", "must not be empty"),
        ("http.address", "example.org", "'example.org' is not an IP address or localhost"),
        ("http.public_url", "chat.example.org", "is not scheme, host and port alone"),
        ("http.public_url", "https://a.example/chat", "is not scheme, host and port alone"),
        ("http.public_url", "ftp://a.example", "is not scheme, host and port alone"),
        ("http.allowed_origins", "https://a.example,*", "'*' is not scheme, host and port alone"),
        ("http.trusted_proxies", "10.0.0.1/8", "is not an IP address or network"),
        ("xmpp.domain", "Example.org", "is not a host name in lower case"),
        ("xmpp.domain", "example..org", "is not a host name"),
        ("xmpp.domain", "-a.org", "is not a host name"),
        ("xmpp.domain", "a@b", "is not a host name"),
        ("xmpp.domain", "127.0.0.1", "is not a host name"),
        ("xmpp.domain", "a." * 121 + "b", "is longer than 242 characters"),
        ("mongodb.database", "a/b", "must be 1 to 63 letters"),
        ("data.dir", "", "must not be empty"),
        ("data.dir", "a\x00b", "has a control character"),
        ("log.level", "loud", "must be debug or info or warning or error, not 'loud'"),
    ],
)
def test_value_out_of_bounds_is_told(name: str, text: str, wrong: str) -> None:
    """Each kind of value is checked, and the variable that it came from named."""
    variable = name.replace(".", "_").upper()
    (told,) = problems(**{variable: text})
    assert told.startswith(f"{name}: ")
    assert wrong in told
    assert told.endswith(f"(TANDEM_{variable})")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[http]\nport = 1e3\n", "http.port: must be a whole number, not 1000.0"),
        ("[limits]\nhold_s = nan\n", "limits.hold_s: must be from 1 to 60, not nan"),
        ("[limits]\nhold_s = inf\n", "limits.hold_s: must be from 1 to 60, not inf"),
        (f"[limits]\nhold_s = {10**400}\n", "limits.hold_s: must be from 1 to 60, not 1000"),
        ("[http]\nport = false\n", "http.port: must be a whole number, not False"),
        ("[auth]\nscram = 1\n", "auth.scram: must be true or false, not 1"),
        ('[http]\nallowed_origins = "https://a.example"\n', "must be a list of texts"),
        ("[http]\nallowed_origins = [1]\n", "http.allowed_origins: 1 is not text"),
        ("[data]\ndir = 3\n", "data.dir: 3 is not text"),
        ("[log]\nlevel = [1]\n", "log.level: must be debug or"),
    ],
)
def test_toml_value_of_other_type_is_told(tmp_path: Path, text: str, wrong: str) -> None:
    """TOML's own types are not bent to fit."""
    (told,) = problems(toml(tmp_path, text))
    assert wrong in told


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"[http", "is not TOML"),
        (b"\xff", "is not TOML: byte 0 is not UTF-8"),
        (b"a = " + b"[" * 5000, "is not TOML"),
    ],
)
def test_broken_file_is_told_beside_other_mistakes(
    tmp_path: Path, content: bytes, wrong: str
) -> None:
    """A file that cannot be parsed does not hide what is wrong elsewhere."""
    path = tmp_path / "own.toml"
    path.write_bytes(content)
    told = problems(path, HTTP_PORT="x")
    assert len(told) == 2
    assert told[0].startswith(f"{path}: ") and wrong in told[0]


def test_missing_file_is_told(tmp_path: Path) -> None:
    """A --config that does not exist is an error, not the defaults."""
    path = tmp_path / "none.toml"
    assert problems(path) == [f"{path}: cannot be read: No such file or directory"]


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("auth.signing_key", "geheim"),
        ("auth.signing_key", base64.b64encode(b"geheim" * 5).decode()),
        ("mongodb.url", "mongo://tandem:geheim@db"),
        ("bus.url", "http://tandem:geheim@bus"),
        ("bus.url", "nats://geheim\x01"),
    ],
)
def test_secret_refused_is_not_shown(name: str, secret: str) -> None:
    """What is wrong with a secret is told without the secret."""
    (told,) = problems(**{name.replace(".", "_").upper(): secret})
    assert told.startswith(f"{name}: ")
    assert secret not in told and "geheim" not in told


def test_secret_of_wrong_type_is_not_shown(tmp_path: Path) -> None:
    """The same for a secret that was written without quotes."""
    (told,) = problems(toml(tmp_path, "[auth]\nsigning_key = 123456789\n"))
    assert told.startswith("auth.signing_key: is not text")


def test_secrets_are_not_in_the_representation() -> None:
    """Settings that end up in a log or a traceback do not tell secrets."""
    key = base64.b64encode(b"k" * 32).decode()
    settings = with_env(
        AUTH_SIGNING_KEY=key, MONGODB_URL="mongodb://u:geheim@db", BUS_URL="tls://u:geheim@bus"
    )
    assert settings.auth.signing_key == key
    assert settings.mongodb.url == "mongodb://u:geheim@db"
    assert key not in repr(settings) and "geheim" not in repr(settings)


@pytest.mark.parametrize(("size", "fine"), [(31, False), (32, True)])
def test_signing_key_needs_32_bytes(size: int, fine: bool) -> None:
    """One byte less than 256 bits is refused."""
    key = base64.b64encode(b"k" * size).decode()
    if fine:
        assert with_env(AUTH_SIGNING_KEY=key).auth.signing_key == key
    else:
        assert "has 31 bytes, needs at least 32" in problems(AUTH_SIGNING_KEY=key)[0]


@pytest.mark.parametrize("name", ["HTTP_ADDRESS", "XMPP_ADDRESS"])
@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1"])
def test_open_registration_to_others_needs_confirmation(name: str, address: str) -> None:
    """Refused on an address that others reach, unless confirmed or closed."""
    (told,) = problems(**{name: address})
    assert told.startswith("auth.registration: is open to everybody")
    assert (
        with_env(**{name: address}, AUTH_REGISTRATION_CONFIRMED="true").auth.registration == "open"
    )
    assert with_env(**{name: address}, AUTH_REGISTRATION="closed")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_open_registration_on_loopback_needs_no_confirmation(address: str) -> None:
    """Every spelling of this machine is loopback."""
    assert with_env(HTTP_ADDRESS=address, XMPP_ADDRESS=address).http.address == address


def test_port_taken_twice_is_told() -> None:
    """Two listeners cannot share a port; switched-off ones (0) can."""
    assert problems(XMPP_TLS_PORT="5222") == [
        "xmpp.tls_port: is the port of xmpp.port, too (TANDEM_XMPP_TLS_PORT)"
    ]
    assert problems(XMPP_PORT="8080")[0].startswith("xmpp.port: is the port of http.port, too")
    assert with_env(XMPP_PORT="0", XMPP_TLS_PORT="0").xmpp.port == 0


def test_numbers_that_contradict_each_other_are_told() -> None:
    """A refresh token outlives an access token, and one answer fits into the outbox."""
    assert problems(AUTH_REFRESH_TOKEN_S="60") == [
        "auth.refresh_token_s: must be at least auth.access_token_s, which is 900 "
        "(TANDEM_AUTH_REFRESH_TOKEN_S)"
    ]
    assert len(problems(LIMITS_OUTBOX_BYTES="100000")) == 2


@pytest.mark.parametrize("section", ["http", "xmpp"])
def test_tls_pair_that_fits_is_taken(tmp_path: Path, section: str) -> None:
    """A certificate with its key is accepted."""
    certificate, key = key_pair(tmp_path, "a")
    name = section.upper()
    settings = with_env(**{f"{name}_TLS_CERTIFICATE": certificate, f"{name}_TLS_KEY": key})
    assert getattr(settings, section).tls_certificate == certificate


@pytest.mark.parametrize("section", ["http", "xmpp"])
def test_tls_half_a_pair_is_told(tmp_path: Path, section: str) -> None:
    """Certificate without key, and key without certificate."""
    certificate, key = key_pair(tmp_path, "a")
    name = section.upper()
    (told,) = problems(**{f"{name}_TLS_CERTIFICATE": certificate})
    assert told.startswith(f"{section}.tls_key: is empty")
    (told,) = problems(**{f"{name}_TLS_KEY": key})
    assert told.startswith(f"{section}.tls_certificate: is empty")


def test_tls_files_missing_are_both_told(tmp_path: Path) -> None:
    """Each file that cannot be read is named with the reason."""
    told = problems(HTTP_TLS_CERTIFICATE="/none.crt", HTTP_TLS_KEY=str(tmp_path))
    assert told == [
        "http.tls_certificate: '/none.crt' cannot be read: No such file or directory "
        "(TANDEM_HTTP_TLS_CERTIFICATE)",
        f"http.tls_key: '{tmp_path}' cannot be read: Is a directory (TANDEM_HTTP_TLS_KEY)",
    ]


def test_tls_key_of_another_certificate_is_told(tmp_path: Path) -> None:
    """A pair that does not belong together is found before the first client does."""
    certificate, _ = key_pair(tmp_path, "a")
    _, key = key_pair(tmp_path, "b")
    (told,) = problems(XMPP_TLS_CERTIFICATE=certificate, XMPP_TLS_KEY=key)
    assert told.startswith("xmpp.tls_key: ") and "is not the PEM key" in told


def test_production_example_is_valid_and_closed(tmp_path: Path) -> None:
    """The shipped example loads once its certificate exists, and lets no stranger in."""
    example = CONF / "production.example.toml"
    assert {line.split(":")[0] for line in problems(example)} == {
        "xmpp.tls_certificate",
        "xmpp.tls_key",
    }
    certificate, key = key_pair(tmp_path, "example.org")
    settings = load(
        example, {"TANDEM_XMPP_TLS_CERTIFICATE": certificate, "TANDEM_XMPP_TLS_KEY": key}
    )
    assert settings.auth.registration == "closed"
    assert settings.xmpp.plaintext == "never"
    assert set(tomllib.loads(example.read_text())) <= set(Settings.__dataclass_fields__)


@pytest.mark.parametrize("url", ["https://files.example.org", "http://[::1]:8081/a/files/", ""])
def test_address_of_files_may_have_a_path(url: str) -> None:
    """They may be served under a name of their own, or below one."""
    assert with_env(FILES_URL=url).files.url == url


@pytest.mark.parametrize("url", ["files.example.org", "https://h/a?b", "https://h/a b", "ftp://h"])
def test_what_is_no_address_of_files_is_told(url: str) -> None:
    """It would end up in every message with a file."""
    (problem,) = problems(FILES_URL=url)
    assert problem.startswith("files.url: ")


@pytest.mark.parametrize("url", ["", "https://cdn.example.org", "http://127.0.0.1:8081/t/web-1.0"])
def test_assets_may_be_on_another_host(url: str) -> None:
    """At its root or below."""
    assert with_env(WEB_ASSETS_URL=url).web.assets_url == url


@pytest.mark.parametrize(
    "url",
    [
        "https://h/",
        "https://h/a/",
        "//h",
        "h",
        "/a",
        "ftp://h",
        "https://h;x",
        "https://u:p@h",
        "https://h/a b",
        "https://h/a?b",
        "https://h 'unsafe-inline'",
    ],
)
def test_what_is_no_address_of_assets_is_told(url: str) -> None:
    """It is in the page's policy, which must stay one."""
    (problem,) = problems(WEB_ASSETS_URL=url)
    assert problem.startswith("web.assets_url: ") and "without / at its end" in problem


def test_a_day_of_uploads_has_room_for_one_file() -> None:
    """Else the largest allowed file would never be allowed."""
    (problem,) = problems(FILES_BYTES_PER_DAY="1000")
    assert problem.startswith("files.bytes_per_day: must be at least files.upload_bytes")

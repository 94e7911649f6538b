"""The page's files: what is served, under which name, and how it is compressed."""

import asyncio
import gzip
import json
import re
import struct
import tomllib
from pathlib import Path

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import assets
from server.assets import TYPES, Assets, AssetsError, choose_encoding, web_directory
from tests.support.node import ROOT

PAGE = """<!doctype html><html><head>
<link rel="manifest" href="/manifest.webmanifest">
<link rel="modulepreload" href="/js/app.js">
<script type="module" src='/js/app.js'></script>
</head><body><a href="/">home</a><a href="https://example.org/js/app.js">out</a>
<svg><use href="#own"/><use href="/icons/all.svg#one"/></svg><p data-src="x"></p></body></html>"""
FILES = {
    "index.html": PAGE,
    "sw.js": "self.onfetch = null;",
    "manifest.webmanifest": "{}",
    "js/app.js": "import './b.js';",
    "js/b.js": "",
    "icons/all.svg": "<svg/>",
}


def make(directory: Path, **files: str) -> Path:
    """A package of such files, and of those given."""
    for name, text in (FILES | files).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def text_at(made: Assets, path: str) -> str:
    found = made.find(path)
    assert found is not None
    return found.body.decode()


def test_page_refers_to_the_set_and_to_nothing_else(tmp_path: Path) -> None:
    """All that the page names is led into the hashed directory; what is elsewhere stays."""
    made = Assets(make(tmp_path))
    page = text_at(made, "/")
    assert text_at(made, "/index.html") == page
    base = f"/assets/{made.hash}/"
    assert re.findall(r'(?<!-)\b(?:href|src)="([^"]*)"', page) == [
        "/manifest.webmanifest",
        f"{base}js/app.js",
        f"{base}js/app.js",
        "/",
        "https://example.org/js/app.js",
        "#own",
        f"{base}icons/all.svg#one",
    ]
    assert text_at(made, f"{base}js/app.js") == text_at(made, "/js/app.js") == FILES["js/app.js"]


def test_page_refers_to_the_other_host(tmp_path: Path) -> None:
    """With ``web.assets_url`` only the manifest, whose "/" is its own origin's, stays here."""
    made = Assets(make(tmp_path), "https://cdn.example.org/t")
    base = f"https://cdn.example.org/t/assets/{made.hash}/"
    assert f'src="{base}js/app.js"' in text_at(made, "/")
    assert 'href="/manifest.webmanifest"' in text_at(made, "/")
    assert f'"{base}js/b.js"' in text_at(made, "/sw.js")
    assert made.find(f"/assets/{made.hash}/js/b.js") is not None, "for a CDN that asks us"
    assert made.hash == Assets(tmp_path).hash, "nodes with another setting have the same set"


@pytest.mark.parametrize(
    "reference",
    [
        'href="/js/c.js"',
        "href='/JS/app.js'",
        "src=/js",
        'href="/js/../js/app.js"',
        'src="//x/y.js"',
        'src="js/app.js"',
        'href=""',
        'SRC = "javascript:0"',
        'href="/sw.js"',
        'href="/js/app.js?"',
    ],
)
def test_page_that_refers_to_what_is_not_there_is_refused(tmp_path: Path, reference: str) -> None:
    """At the start, not in the browser of the first user."""
    make(tmp_path, **{"index.html": PAGE.replace("</body>", f"<img {reference}></body>")})
    with pytest.raises(AssetsError, match=r"^index\.html refers to "):
        Assets(tmp_path)


@pytest.mark.parametrize("name", ["index.html", "sw.js", "manifest.webmanifest"])
def test_package_without_its_fixed_files_is_refused(tmp_path: Path, name: str) -> None:
    """Each is asked for by name."""
    (make(tmp_path) / name).unlink()
    with pytest.raises(AssetsError, match=re.escape(name)):
        Assets(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_hash_is_another_for_any_other_byte(tmp_path: Path, name: str) -> None:
    """The page and the worker count too: their cache is named by the set."""
    before = Assets(make(tmp_path)).hash
    (tmp_path / name).write_text(FILES[name] + " ")
    assert Assets(tmp_path).hash != before
    (tmp_path / name).write_text(FILES[name])
    assert Assets(tmp_path).hash == before


def test_hash_is_another_for_any_other_name(tmp_path: Path) -> None:
    """And for a file more or less, be it empty."""
    seen = [Assets(make(tmp_path)).hash]
    for name in ("js/c.js", "b.js"):
        (tmp_path / "js/b.js").rename(tmp_path / name)
        seen.append(Assets(tmp_path).hash)
        (tmp_path / name).rename(tmp_path / "js/b.js")
    (tmp_path / "js/d.js").touch()
    seen.append(Assets(tmp_path).hash)
    (tmp_path / "js/d.js").unlink()
    (tmp_path / "js/b.js").unlink()
    seen.append(Assets(tmp_path).hash)
    assert len(set(seen)) == 5


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_hash_tells_where_one_file_ends(one: bytes, two: bytes) -> None:
    """Bytes that move from a file to the next make another set."""
    joined = assets._hash({"a.js": one + two, "b.js": b""})
    apart = assets._hash({"a.js": one, "b.js": two})
    assert (joined == apart) is (two == b"")


def test_what_is_no_pages_is_not_there(tmp_path: Path) -> None:
    """Python, hidden files, caches, editors' copies; at the root and in the set."""
    strange = ["__init__.py", ".env.js", "js/.b.js.swp", "js/_own.js", "js/__pycache__/a.js"]
    strange += ["js/app.js~", "js/app.ts", "package.json", "README", "js/app.js.map.bak"]
    made = Assets(make(tmp_path, **dict.fromkeys(strange, "secret")))
    assert made.hash == Assets(make(tmp_path / "web" / "x")).hash
    for name in strange:
        assert made.find(f"/{name}") is None
        assert made.find(f"/assets/{made.hash}/{name}") is None
    assert made.find("/sdk/tandem.d.ts") is None
    assert Assets(make(tmp_path / "y", **{"sdk/tandem.d.ts": "//"})).find("/sdk/tandem.d.ts")


@pytest.mark.parametrize("name", ["js/my app.js", "js/ä.js", "js/a%2fb.js", "js/<b>.js"])
def test_name_that_an_address_would_encode_is_refused(tmp_path: Path, name: str) -> None:
    """So a path is looked up as it was sent, and nothing has two addresses."""
    with pytest.raises(AssetsError, match="its name may have"):
        Assets(make(tmp_path, **{name: ""}))


def test_page_worker_and_manifest_are_not_in_the_set(tmp_path: Path) -> None:
    """What refers to the set cannot be part of it, and browsers ask for these each time."""
    made = Assets(make(tmp_path))
    for name in ("", "index.html", "sw.js", "manifest.webmanifest"):
        assert made.find(f"/{name}") is not None
        assert made.find(f"/assets/{made.hash}/{name}") is None


def test_worker_is_told_what_to_keep(tmp_path: Path) -> None:
    """The page's files, and neither types, licences nor the icons of the system's menus."""
    extra = [
        "icons/192.png",
        "sdk/tandem.d.ts",
        "vendor/qr.js",
        "vendor/LICENCE.txt",
        "js/b.js.map",
    ]
    made = Assets(make(tmp_path, **dict.fromkeys(extra, "")))
    line, rest = text_at(made, "/sw.js").split("\n", 1)
    told = re.fullmatch(r"const SHELL = (\{.*\});", line)
    assert told is not None and rest == FILES["sw.js"]
    shell = json.loads(told[1])
    assert shell["hash"] == made.hash
    kept = ["js/app.js", "js/b.js", "vendor/qr.js"]
    assert shell["files"] == [f"/assets/{made.hash}/{name}" for name in kept]


def test_compressed_files_are_the_files(tmp_path: Path) -> None:
    """All of the real page; pictures are sent as they are."""

    async def check() -> None:
        for name, file in Assets(web_directory()).files.items():
            assert await file.encoded("") == file.body
            if name.endswith((".png", ".woff2")):
                assert file.encodings == ()
                continue
            assert file.encodings == ("br", "gzip")
            assert gzip.decompress(await file.encoded("gzip")) == file.body
            assert brotli.decompress(await file.encoded("br")) == file.body

    asyncio.run(check())


def test_file_is_compressed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many ask at the same moment, and after it; one of them leaving does not matter."""
    times = []
    monkeypatch.setattr(assets, "compress", lambda body, how: times.append(how) or b"short")

    async def check() -> None:
        file = Assets(make(tmp_path)).files["js/app.js"]
        leaving = asyncio.create_task(file.encoded("br"))
        await asyncio.sleep(0)
        leaving.cancel()
        asked = [file.encoded("br") for _ in range(20)]
        assert await asyncio.gather(*asked) == [b"short"] * 20
        assert await file.encoded("br") == b"short"

    asyncio.run(check())
    assert times == ["br"]


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("", ""),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, deflate", "gzip"),
        ("GZIP;q=0.5", "gzip"),
        ("br;q=0.5, gzip;q=0.8", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("br;q=0.000, gzip;q=0", ""),
        ("*", "br"),
        ("*;q=0.1, br;q=0", "gzip"),
        ("gzip;q=0.5, *;q=0", "gzip"),
        ("identity", ""),
        ("identity, br;q=0.5", ""),
        ("identity;q=0.5, br;q=0.5", "br"),
        ("identity;q=0", ""),
        (" gzip ; q=1.000 ,", "gzip"),
        ("br;q=2, gzip;q=x", ""),
        ("brotli, x, ;q=1", ""),
    ],
)
def test_encoding_is_what_the_client_likes_best(accepted: str, chosen: str) -> None:
    """By weight; of equals the shortest; as it is where nothing else may be sent."""
    assert choose_encoding(accepted, ("br", "gzip")) == chosen
    assert choose_encoding(accepted, ()) == ""


@given(st.text(alphabet="brgzip*;q=01.9, \t\x00é", max_size=60))
def test_no_header_breaks_the_choice(accepted: str) -> None:
    """What makes no sense asks for nothing."""
    assert choose_encoding(accepted, ("br", "gzip")) in ("br", "gzip", "")


def test_written_tree_is_what_is_served(tmp_path: Path) -> None:
    """Each file of the set with its compressed ones beside, and older sets left in peace."""
    made = Assets(make(tmp_path / "web", **{"icons/1.png": "png"}))
    older = tmp_path / "out" / "assets" / "0123456789abcdef" / "old.js"
    older.parent.mkdir(parents=True)
    older.write_text("old")
    half = older.parents[1] / f".{made.hash}" / "left.js"
    half.parent.mkdir()
    half.write_text("of a writing that was broken off")
    written = made.write(tmp_path / "out")
    assert written == tmp_path / "out" / "assets" / made.hash
    found = {path.relative_to(written).as_posix() for path in written.rglob("*") if path.is_file()}
    plain = {"js/app.js", "js/b.js", "icons/all.svg", "icons/1.png"}
    texts = plain - {"icons/1.png"}
    assert found == plain | {f"{name}{end}" for name in texts for end in (".gz", ".br")}
    for name in texts:
        body = made.files[name].body
        assert (written / name).read_bytes() == body
        assert gzip.decompress((written / f"{name}.gz").read_bytes()) == body
        assert brotli.decompress((written / f"{name}.br").read_bytes()) == body
    assert older.exists() and not half.parent.exists()
    before = (written / "js/app.js").stat().st_mtime_ns
    assert made.write(tmp_path / "out") == written
    assert (written / "js/app.js").stat().st_mtime_ns == before, "somebody may be reading it"


def test_installed_package_has_every_file_that_is_served() -> None:
    """What is not in ``package-data`` would be missing from the wheel only."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    web = ROOT / "web"
    patterns = project["tool"]["setuptools"]["package-data"]["web"]
    packed = {path for pattern in patterns for path in web.glob(pattern)}
    served = {web / name for name in Assets(web).files}
    assert served <= packed
    assert {f"**/*{'.ts' if suffix == '.d.ts' else suffix}" for suffix in TYPES} == set(patterns)


IMPORT = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["']([^"']+)["']""")


def test_scripts_and_styles_name_each_other_by_relative_paths() -> None:
    """Else they would lead out of their set, to what another host or version does not have."""
    files = Assets(web_directory()).files
    named = 0
    for name, file in files.items():
        if not name.endswith((".js", ".mjs", ".css")) or name.startswith("vendor/"):
            continue
        pattern = re.compile(r"url\([\"']?([^)\"']+)") if name.endswith(".css") else IMPORT
        for told in pattern.findall(file.body.decode()):
            if told.startswith(("data:", "#", "node:")):
                continue
            assert told.startswith(".") or name.endswith(".css"), f"{name} names {told}"
            path = (ROOT / "web" / name).parent.joinpath(told).resolve()
            assert path.relative_to(ROOT / "web").as_posix() in files, f"{name} names {told}"
            named += 1
    assert named > 10


def test_manifest_names_icons_of_their_true_size() -> None:
    """Both shapes, and the page's colours."""
    manifest = json.loads((ROOT / "web/manifest.webmanifest").read_text())
    shapes = set()
    for icon in manifest["icons"]:
        content = (ROOT / "web" / icon["src"].removeprefix("/")).read_bytes()
        if icon["type"] == "image/png":
            width, height = struct.unpack(">II", content[16:24])
            assert icon["sizes"] == f"{width}x{height}"
            shapes.add((icon.get("purpose", "any"), width))
    assert shapes == {("any", 192), ("any", 512), ("maskable", 192), ("maskable", 512)}
    css = (ROOT / "web/css/base.css").read_text()
    [grounds] = re.findall(r"--ground: light-dark\((#\w+), (#\w+)\)", css)
    page = (ROOT / "web/index.html").read_text()
    assert set(re.findall(r'name="theme-color" content="(#\w+)"', page)) == set(grounds)
    assert manifest["background_color"] == manifest["theme_color"] == grounds[0]

"""Pictures before they are sent: smaller, upright, without metadata."""

import io
from base64 import b64decode
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Page

from tests.support.widgets import BASE64, FILE, photo, red, saved

ORIENTATION, GPS = 0x0112, 0x8825  # tags of EXIF
UPRIGHT, ON_ITS_SIDE = 1, 6  # that is: turn it clockwise
SECRET = "taken at home"


def prepared(page: Page, name: str) -> dict[str, Any]:
    """What ``preparePicture`` makes of a file, its blobs as images."""
    made: dict[str, Any] = page.evaluate(
        f"""async (name) => {{
            const {{ preparePicture }} = await widget("picture");
            const file = await ({FILE})(name);
            try {{
                const {{ blob, preview, ...rest }} = await preparePicture(file);
                const base64 = {BASE64};
                const small = preview && (await base64(preview));
                return {{ ...rest, blob: await base64(blob), preview: small }};
            }} catch (error) {{
                if (!error.key) throw error;
                return {{ error: error.key }};
            }}
        }}""",
        name,
    )
    for key in made.keys() & {"blob", "preview"}:
        made[key] = made[key] and b64decode(made[key])
    return made


def test_photo_is_made_smaller_and_upright_and_forgets_where_it_was_taken(
    page: Page, files: Path
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = ON_ITS_SIDE
    exif.get_ifd(GPS)[1] = "N"
    exif.get_ifd(GPS)[2] = (48.0, 12.0, 30.0)
    original = saved(photo(4000, 3000), "JPEG", quality=95, exif=exif, comment=SECRET)
    assert Image.open(io.BytesIO(original)).getexif().get_ifd(GPS)
    (files / "IMG_1.jpg").write_bytes(original)
    made = prepared(page, "IMG_1.jpg")
    assert len(made["blob"]) < len(original) / 3
    for blob, size in ((made["blob"], (1536, 2048)), (made["preview"], (360, 480))):
        image = Image.open(io.BytesIO(blob))
        assert image.size == size
        assert not image.getexif()
        assert SECRET.encode() not in blob
        # Turned clockwise, the red corner is on the right.
        assert red(image, size[0] - 9, 9)
        assert not red(image, 9, 9)
    assert (made["width"], made["height"], made["type"]) == (1536, 2048, "image/jpeg")
    assert made["name"] == "IMG_1.jpg"


def test_photo_that_is_small_already_loses_its_metadata_only(page: Page, files: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = UPRIGHT
    exif.get_ifd(GPS)[1] = "N"
    original = photo(300, 200)
    written = saved(original, "JPEG", quality=40, exif=exif, comment=SECRET, progressive=True)
    (files / "small.jpg").write_bytes(written + b"and a film behind it")
    made = prepared(page, "small.jpg")
    image = Image.open(io.BytesIO(made["blob"]))
    assert image.tobytes() == Image.open(io.BytesIO(written)).tobytes()
    assert not image.getexif()
    assert b"film" not in made["blob"]
    assert SECRET.encode() not in made["blob"]
    assert made["preview"] is None


def animation() -> list[Image.Image]:
    return [Image.new("RGB", (600, 40), colour) for colour in ("red", "green", "blue")]


def test_animations_and_small_pngs_stay_what_they_are_without_metadata(
    page: Page, files: Path
) -> None:
    first, *rest = animation()
    exif = Image.Exif()
    exif.get_ifd(GPS)[1] = "N"
    moving = {"save_all": True, "append_images": rest, "duration": 50, "loop": 0}
    text = PngInfo()
    text.add_text("Comment", SECRET)
    written = {
        "a.gif": saved(first, "GIF", comment=SECRET.encode(), **moving),
        "a.webp": saved(first, "WEBP", exif=exif, xmp=SECRET.encode(), lossless=True, **moving),
        "a.png": saved(first, "PNG", exif=exif, pnginfo=text, **moving),
        "still.png": saved(first, "PNG", exif=exif, pnginfo=text),
    }
    for name, blob in written.items():
        assert SECRET.encode() in blob
        (files / name).write_bytes(blob)
        made = prepared(page, name)
        before, after = Image.open(io.BytesIO(blob)), Image.open(io.BytesIO(made["blob"]))
        assert SECRET.encode() not in made["blob"], name
        assert not after.getexif(), name
        assert after.format == before.format
        if name == "a.webp":
            assert made["blob"][20] == blob[20] & ~0x0C  # its head promises neither EXIF nor XMP
        frames = getattr(before, "n_frames", 1)
        assert getattr(after, "n_frames", 1) == frames == (1 if name == "still.png" else 3)
        for number in range(frames):
            before.seek(number)
            after.seek(number)
            assert before.convert("RGB").tobytes() == after.convert("RGB").tobytes(), name
        assert Image.open(io.BytesIO(made["preview"])).size == (480, 32)
        assert made["name"] == name


def test_large_png_becomes_a_webp_with_its_transparency(page: Page, files: Path) -> None:
    image = photo(2500, 500).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    (files / "shot.png").write_bytes(saved(image, "PNG"))
    made = prepared(page, "shot.png")
    after = Image.open(io.BytesIO(made["blob"]))
    assert (made["type"], made["name"], after.size) == ("image/webp", "shot.webp", (2048, 410))
    assert after.convert("RGBA").getpixel((900, 2))[3] < 20  # type: ignore[index]


def test_broken_picture_is_told_by_a_text(page: Page, files: Path) -> None:
    whole = saved(photo(100, 100), "PNG")
    (files / "none.jpg").write_bytes(b"")
    (files / "text.png").write_bytes(b"not a picture")
    (files / "half.png").write_bytes(whole[:40])
    for name in ("none.jpg", "text.png", "half.png"):
        assert prepared(page, name) == {"error": "pictureBroken"}


def test_cut_files_end_the_dissection_and_never_hang_it(page: Page, files: Path) -> None:
    first, *rest = animation()
    moving = {"save_all": True, "append_images": rest}
    for kind in ("JPEG", "PNG", "GIF", "WEBP"):
        (files / "whole").write_bytes(saved(first, kind, **({} if kind == "JPEG" else moving)))
        ends = page.evaluate(
            """async () => {
                const { dissect, kindOf } = await import("/js/widgets/metadata.js");
                const whole = new Uint8Array(await (await fetch("/files/whole")).arrayBuffer());
                const kind = kindOf(whole);
                const ends = new Set();
                for (let length = 12; length <= whole.length; length += 1) {
                    try {
                        dissect(whole.subarray(0, length), kind);
                        ends.add(length === whole.length ? "whole" : "shorter");
                    } catch (error) {
                        ends.add(error.name);
                    }
                }
                return [...ends];
            }"""
        )
        assert set(ends) <= {"whole", "shorter", "RangeError"}, kind
        assert "whole" in ends, kind

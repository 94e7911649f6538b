"""Pictures, a voice and a document for the people on the screens. All are made here."""

import io
import math
import random
import wave
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]


class Palette(NamedTuple):
    """A time of day: the sky from top to horizon, the sun, and the hills from far to near."""

    sky: tuple[Colour, Colour]
    sun: Colour
    hills: Sequence[Colour]


MORNING = Palette(
    ((104, 164, 214), (250, 222, 196)),
    (255, 244, 214),
    ((150, 170, 190), (98, 134, 140), (44, 84, 84)),
)
EVENING = Palette(
    ((54, 44, 98), (250, 150, 96)), (255, 216, 140), ((142, 86, 118), (88, 58, 100), (40, 32, 66))
)
FOREST = Palette(
    ((150, 200, 210), (232, 244, 226)),
    (255, 255, 240),
    ((134, 176, 140), (74, 130, 88), (30, 78, 56)),
)
NIGHT = Palette(
    ((12, 18, 48), (60, 84, 130)), (236, 240, 255), ((52, 66, 104), (32, 42, 76), (14, 20, 44))
)


def landscape(palette: Palette, width: int, height: int, seed: int) -> bytes:
    """Hills below a sun, as a JPEG. The same for the same numbers."""
    chance = random.Random(seed)
    image = Image.new("RGB", (width, height))
    pen = ImageDraw.Draw(image)
    for y in range(height):
        pen.line((0, y, width, y), fill=_between(*palette.sky, y / height))
    east, up, radius = width * chance.uniform(0.2, 0.8), height * 0.38, height * 0.08
    sun = (east - radius, up - radius, east + radius, up + radius)
    pen.ellipse(sun, fill=palette.sun)
    for number, colour in enumerate(palette.hills):
        base = height * (0.52 + 0.15 * number)
        waves = [
            (chance.uniform(0.6, 3) * (number + 1), chance.uniform(0, 7), height * 0.045)
            for _ in range(3)
        ]
        ridge = [
            (
                step * width / 200,
                base + sum(a * math.sin(f * step / 200 * math.tau + p) for f, p, a in waves),
            )
            for step in range(201)
        ]
        pen.polygon([*ridge, (width, height), (0, height)], fill=colour)
    return _jpeg(image.filter(ImageFilter.GaussianBlur(0.6)))


def portrait(hue: int, seed: int) -> bytes:
    """Somebody's avatar: head and shoulders before a plain ground."""
    chance = random.Random(seed)
    size = 256
    image = Image.new("HSV", (size, size), (hue, 90, 225)).convert("RGB")
    pen = ImageDraw.Draw(image)
    skin = chance.choice(((244, 208, 180), (222, 176, 138), (166, 116, 84), (112, 76, 58)))
    hair = chance.choice(((42, 32, 30), (96, 62, 40), (180, 140, 84), (120, 122, 128)))
    shirt = _between((40, 60, 100), (230, 230, 226), chance.random())
    pen.ellipse((64, 44, 192, 186), fill=hair)
    pen.rounded_rectangle((40, 190, 216, 320), 70, fill=shirt)
    pen.rectangle((108, 150, 148, 206), fill=skin)
    pen.ellipse((80, 62, 176, 184), fill=skin)
    pen.chord((76, 44, 180, 140), 180, 360, fill=hair)
    return _jpeg(image.filter(ImageFilter.GaussianBlur(0.8)))


def small(picture: bytes, width: int) -> bytes:
    """A preview of it."""
    image = Image.open(io.BytesIO(picture))
    image.thumbnail((width, width))
    return _jpeg(image)


def voice(seconds: float, seed: int) -> bytes:
    """Something that looks like speech as a waveform: syllables, words and pauses. A WAV file."""
    chance, rate = random.Random(seed), 8000
    samples = bytearray()
    while len(samples) < 2 * rate * seconds:
        loudness = 0 if chance.random() < 0.18 else chance.uniform(0.15, 0.9)
        length, pitch = int(rate * chance.uniform(0.08, 0.22)), chance.uniform(110, 220)
        for n in range(length):
            swell = math.sin(math.pi * n / length) * loudness
            tone = sum(math.sin(math.tau * pitch * k * n / rate) / k for k in (1, 2, 3)) / 2
            samples += int(32_000 * swell * max(-1, min(1, tone))).to_bytes(
                2, "little", signed=True
            )
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(samples[: int(2 * rate * seconds)])
    return file.getvalue()


def compressed(screenshot: bytes) -> bytes:
    """The PNG with a palette: a third of the size.

    The median cut leaves plain grounds their exact colour; dithered, they would be noisy.
    """
    image = Image.open(io.BytesIO(screenshot)).convert("RGB")
    few = image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    file = io.BytesIO()
    few.save(file, "PNG", optimize=True)
    return file.getvalue()


def _between(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=86)
    return file.getvalue()

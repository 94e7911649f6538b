"""Voice messages: recorded from Chromium's own beeping microphone, drawn and played."""

from base64 import b64decode
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.widgets import BASE64, visit

LOAD = """async () => {
    const { recordVoice, VoiceRecorder } = await widget("voice");
    Object.assign(window, { recordVoice, VoiceRecorder }, await widget("player"));
    const { getUserMedia } = MediaDevices.prototype;
    window.tracks = [];
    navigator.mediaDevices.getUserMedia = async function (wanted) {
        const stream = await getUserMedia.call(this, wanted);
        tracks.push(...stream.getTracks());
        return stream;
    };
}"""
# JavaScript: what a recording is, decoded: how long, how loud.
HEARD = """async (blob) => {
    const context = new OfflineAudioContext(1, 1, 48000);
    const sound = await context.decodeAudioData(await blob.arrayBuffer());
    return [sound.duration, Math.max(...sound.getChannelData(0))];
}"""


def start(page: Page, options: str = "{}") -> None:
    page.evaluate(LOAD)
    page.evaluate(f"() => {{ window.recording = recordVoice(place, {options}); }}")


def test_recording_is_a_playable_file_as_long_as_it_took(page: Page) -> None:
    start(page)
    bar = page.get_by_role("group", name="Voice message")
    expect(bar.get_by_role("timer")).to_have_text("0:02")
    bar.get_by_role("button", name="Send the recording").click()
    type_, seconds, peaks = page.evaluate(
        "recording.then(({ type, seconds, peaks }) => [type, seconds, peaks])"
    )
    assert type_ == "audio/webm"
    assert 2 <= seconds < 4
    assert len(peaks) == 48
    assert max(peaks) == 100
    duration, loudest = page.evaluate(f"recording.then(({{ blob }}) => ({HEARD})(blob))")
    assert abs(duration - seconds) < 0.5
    assert loudest > 0.1
    expect(bar).to_have_count(0)
    assert page.evaluate("tracks.map(({ readyState }) => readyState)") == ["ended"]


@pytest.mark.parametrize("way", ["click", "Escape", "signal"])
def test_discarded_recording_gives_nothing_and_lets_the_microphone_go(page: Page, way: str) -> None:
    start(page, "{ signal: (window.abort = new AbortController()).signal }")
    page.wait_for_selector(".wave-live")
    if way == "click":
        page.get_by_role("button", name="Discard the recording").click()
    elif way == "Escape":
        page.keyboard.press("Escape")
    else:
        page.evaluate("abort.abort()")
    assert page.evaluate("recording") is None
    expect(page.locator(".voice-bar")).to_have_count(0)
    page.wait_for_function("() => tracks.every(({ readyState }) => readyState === 'ended')")


def test_recording_ends_at_its_limit_and_can_still_be_sent(page: Page) -> None:
    start(page, "{ limit: 1 }")
    expect(page.get_by_role("status")).to_have_text("The recording has ended.")
    page.get_by_role("button", name="Send the recording").click()
    assert 1 <= page.evaluate("recording.then(({ seconds }) => seconds)") < 1.5


def test_cancelled_while_it_asks_for_the_microphone_lets_it_go_at_once(page: Page) -> None:
    page.evaluate(LOAD)
    started = page.evaluate(
        """() => {
            const recorder = new VoiceRecorder();
            const starting = recorder.start();
            recorder.cancel();
            return starting;
        }"""
    )
    assert started is False
    assert page.evaluate("tracks.map(({ readyState }) => readyState)") == ["ended"]


@pytest.mark.parametrize(
    ("error", "language", "told"),
    [
        ("NotAllowedError", "en", "The microphone is not allowed."),
        ("NotAllowedError", "zh", "未获准使用麦克风"),
        ("NotFoundError", "en", "No microphone was found."),
        ("NotReadableError", "en", "Another program may have it."),
    ],
)
def test_refused_microphone_is_told_in_words(
    browser: Browser, site: str, error: str, language: str, told: str
) -> None:
    page = visit(browser, site, language=language)
    page.evaluate(LOAD)
    page.evaluate(
        """(name) => {
            const refuse = () => Promise.reject(new DOMException("", name));
            navigator.mediaDevices.getUserMedia = refuse;
            window.recording = recordVoice(place);
        }""",
        error,
    )
    expect(page.get_by_role("alert")).to_contain_text(told)
    page.locator(".voice-bar button").click()
    assert page.evaluate("recording") is None
    page.context.close()


@pytest.fixture
def recorded(page: Page, files: Path) -> Page:
    """A page with a real recording of some two seconds at ``/files/voice.webm``."""
    page.evaluate(LOAD)
    blob = page.evaluate(
        f"""async () => {{
            const recorder = new VoiceRecorder({{ limit: 2 }});
            const ended = new Promise((done) => recorder.addEventListener("ended", done));
            await recorder.start();
            await ended;
            return ({BASE64})((await recorder.stop()).blob);
        }}"""
    )
    (files / "voice.webm").write_bytes(b64decode(blob))
    return page


def test_voice_message_draws_itself_plays_to_its_end_and_one_at_a_time(recorded: Page) -> None:
    page = recorded
    page.evaluate(
        """() => {
            const voice = { url: "/files/voice.webm", seconds: 2 };
            place.append(voicePlayer({ ...voice, id: 1 }), voicePlayer({ ...voice, id: 2 }));
        }"""
    )
    expect(page.locator(".voice-track.drawn")).to_have_count(2)
    first, second = page.locator(".voice").all()
    first.get_by_role("button", name="Play").click()
    expect(first.get_by_role("button", name="Pause")).to_be_visible()
    second.get_by_role("button", name="Play").click()
    expect(second.get_by_role("button", name="Pause")).to_be_visible()
    expect(first.get_by_role("button", name="Play")).to_be_visible()
    expect(second.locator(".voice-time")).to_have_text("0:01 / 0:02")
    expect(second.get_by_role("button", name="Play")).to_be_visible()
    expect(second.locator(".voice-time")).to_have_text("0:02")


def test_voice_message_is_sought_by_keys_and_clicks_and_played_faster(recorded: Page) -> None:
    page = recorded
    page.evaluate(
        "() => place.append(voicePlayer({ url: '/files/voice.webm', seconds: 2, peaks: [1, 100] }))"
    )
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("End")
    expect(slider).to_have_attribute("aria-valuenow", "2")
    page.keyboard.press("Home")
    expect(slider).to_have_attribute("aria-valuenow", "0")
    speed = page.locator(".voice-speed")
    for shown in ("1.5×", "2×", "1×", "1.5×"):
        speed.click()
        expect(speed).to_have_text(shown)
    box = slider.bounding_box()
    assert box
    slider.click(position={"x": box["width"] * 0.6, "y": 9})
    expect(slider).to_have_attribute("aria-valuetext", "0:01 of 0:02")
    expect(page.get_by_role("button", name="Play")).to_be_visible()  # played to the end


def test_player_made_anew_goes_on_with_what_is_playing(recorded: Page) -> None:
    page = recorded
    voice = "voicePlayer({ url: '/files/voice.webm', seconds: 2, id: 7, peaks: [1] })"
    page.evaluate(f"() => place.append({voice})")
    page.get_by_role("button", name="Play").click()
    page.evaluate(f"() => place.replaceChildren({voice})")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_voice_message_that_is_gone_says_so(page: Page) -> None:
    page.evaluate(LOAD)
    page.evaluate("() => place.append(voicePlayer({ url: '/files/gone.webm', seconds: 3 }))")
    page.get_by_role("button", name="Play").click()
    expect(page.locator(".voice-time")).to_have_text("Cannot be played")

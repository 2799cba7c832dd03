"""Whether an elementary stream that was received is, bit by bit, the one that was sent: H.264 by NAL units, AAC by frames."""
import re

from lab import run

PARAMETERS, NO_PICTURE = (7, 8), (6, 9)  # NAL unit types (ITU-T H.264 table 7-1); SEI and delimiters may be added or left out


class Recorder:
    """ffmpeg writes what it is sent as it is."""

    def __init__(self, namespace, url, transport, seconds=3):
        self.name = f"{transport}, {url}"
        self.video, self.audio = (namespace.lab.file(f"recorded-{transport}.{ending}") for ending in ("264", "aac"))
        self.process = namespace.start(
            "ffmpeg", "-nostdin", "-hide_banner", "-y", "-v", "warning", "-rtsp_transport", transport, "-t", seconds, "-i", url,
            "-map", "0:v", "-c", "copy", "-f", "h264", self.video, "-map", "0:a", "-c", "copy", "-f", "adts", self.audio,
            log=namespace.lab.file(f"recorder-{transport}.log"))

    def assert_film(self, film, slices=30, sounds=60):
        self.process.wait(30)
        try:
            film.assert_video(self.video.read_bytes(), slices)
            film.assert_audio(self.audio.read_bytes(), sounds)
        except AssertionError as different:
            raise AssertionError(f"{self.name}: {different}\n{self.process.text()[-1500:]}") from None


class Film:
    """A file of H.264 and AAC, that is played over and over."""

    def __init__(self, path):
        copy = lambda kind, form: run("ffmpeg", "-nostdin", "-v", "error", "-i", path, "-map", f"0:{kind}", "-c", "copy", "-f", form, "-", text=False)
        units = nal_units(copy("v", "h264"))
        self.pictures = [unit for unit in units if kind_of(unit) not in PARAMETERS + NO_PICTURE]
        self.parameters = {unit for unit in units if kind_of(unit) in PARAMETERS}
        self.sounds = aac_frames(copy("a", "adts"))

    def assert_video(self, annexb, least):
        """From its first key frame on it has every slice of the film, in order; and no other parameter sets."""
        units = nal_units(annexb)
        strange = {unit for unit in units if kind_of(unit) in PARAMETERS} - self.parameters
        assert not strange, f"parameter sets that are not the film's: {[unit.hex() for unit in strange]}"
        got = [unit for unit in units if kind_of(unit) not in PARAMETERS + NO_PICTURE]
        assert got, f"no pictures in {len(annexb)} bytes"
        first = next((at for at, unit in enumerate(got) if kind_of(unit) == 5), len(got))
        self._assert_part(got[first:], self.pictures, "slices", least)

    def assert_audio(self, adts, least):
        self._assert_part(aac_frames(adts), self.sounds, "AAC frames", least)

    @staticmethod
    def _assert_part(got, whole, what, least):
        assert len(got) >= least, f"{len(got)} {what}, wanted {least}"
        again = whole * (len(got) // len(whole) + 2)
        best = 0
        for at in (at for at, one in enumerate(whole) if one == got[0]):
            same = next((n for n, (one, other) in enumerate(zip(got, again[at:])) if one != other), len(got))
            best = max(best, same)
        assert best == len(got), f"of {len(got)} {what} the first {best} are the film's"


def nal_units(annexb):
    """Without start codes and the zeros behind them (ITU-T H.264 annex B)."""
    return [unit.rstrip(b"\0") for unit in re.split(b"\0\0\1", annexb)[1:]]


def kind_of(unit):
    return unit[0] & 31


def aac_frames(adts):
    """Payloads of ADTS frames (ISO 14496-3 section 1.A.3)."""
    frames, at = [], 0
    while at + 7 <= len(adts):
        assert adts[at] == 0xff and adts[at + 1] & 0xf0 == 0xf0, f"no ADTS frame at {at}"
        size = (adts[at + 3] & 3) << 11 | adts[at + 4] << 3 | adts[at + 5] >> 5
        frames.append(adts[at + (7 if adts[at + 1] & 1 else 9):at + size])
        at += size
    return frames

"""AV1 by RTSP: who comes late to a real stream of it decodes from the key frame on. Debian's players have no RTP payload format for
AV1, so the viewer unpacks with tests/support/av1.py; ffmpeg encodes, decodes, and is the judge of the pictures."""
import re
import threading
import time

import av1
from cases import cases
from lab import run, wait_for
from relay import LAN, Relay, assert_ledger
from rtsp import Client, TcpClient

PT, RATE, FRAMES = 98, 25, 150


def film(lab):
    """Temporal units of six seconds, of which the first alone is a key frame."""
    path = lab.file("film.obu")
    run("ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", f"testsrc2=size=160x90:rate={RATE}", "-frames:v", FRAMES, "-c:v", "libaom-av1", "-cpu-used", "8",
        "-usage", "realtime", "-g", "2000", "-lag-in-frames", "0", "-b:v", "300k", "-pix_fmt", "yuv420p", "-f", "obu", path)
    units = av1.temporal_units(path.read_bytes())
    assert len(units) == FRAMES and [i for i, unit in enumerate(units) if av1.begins_sequence(unit)] == [0]
    return units


def pictures(lab, units, name):
    path = lab.file(f"{name}.obu")
    path.write_bytes(av1.bitstream(units))
    said = run("ffmpeg", "-nostdin", "-v", "error", "-f", "obu", "-i", path, "-map", "0:v", "-vsync", "passthrough", "-f", "framemd5", "-")
    return [line.split(",")[-1].strip() for line in said.splitlines() if line and line[0] != "#"]


class Camera:
    """Sends the film once, picture by picture."""

    def __init__(self, lab, units):
        self.sent = 0
        opened = lab.source.socket()
        payloader = av1.Payloader(PT, RATE)

        def play():
            for unit in units:
                for packet in payloader.packets(unit):
                    opened.sendto(packet, (LAN[4], 20000))
                self.sent += 1
                time.sleep(1 / RATE)
        self.thread = threading.Thread(target=play, daemon=True)
        self.thread.start()


@cases(transport=("udp", "tcp"))
def test_late(transport):
    """The first packet is that of the key frame, and what is decoded from there on is what the source showed, picture by picture."""
    with Relay(1) as lab:
        units = film(lab)
        whole = pictures(lab, units, "sent")
        penstock = lab.start_penstock(lab.node, "rtsp: { listen: [\":554\"] }\n" + lab.config([("video", PT, "AV1/90000", [f"{LAN[4]}:20000"], [])]))
        camera = Camera(lab, units)
        wait_for(lambda: camera.sent > 40, "one and a half seconds of the film", 20)
        client = (TcpClient if transport == "tcp" else Client)(lab.receivers[0])
        said = client.request("DESCRIBE").body
        assert f"a=rtpmap:{PT} AV1/90000" in said, said
        client.setup("video")
        first = int(re.search(r"seq=(\d+)", client.request("PLAY")["RTP-Info"]).group(1))
        packets = []
        while sum(packet[1] >> 7 for packet in packets) < 80:
            packets.append(client.take(1)[0] if transport == "tcp" else client.packet("video")[0])
        got, from_key_frame = av1.depayload(packets)
        assert from_key_frame and int.from_bytes(packets[0][2:4], "big") == first
        assert got == units[:len(got)] and len(got) == 80
        assert pictures(lab, got, "got") == whole[:80]
        metrics = penstock.metrics()
        assert metrics.sum("penstock_track_key_frames_total") == 1
        assert metrics.sum("penstock_track_late_joins_total", **{"with": "picture"}) == 1
        camera.thread.join()
        assert_ledger(penstock.metrics())

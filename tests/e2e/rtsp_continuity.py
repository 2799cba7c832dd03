"""Players go on when the source is killed and comes back as another: they see one SSRC, and numbers and times without a step."""
import signal

import camera
import rtsp_push
from cases import cases
from judge import Capture
from lab import wait_for
from media import start_source
from relay import LAN, SOURCE, WAN, Relay, assert_ledger, receiver_address
from rtsp import config
from rtsp_play import sessions
from rtsp_pull import config as pull_config, wait_media

PICTURES = 25  # that each player decodes before, and after
FAR = 60       # seconds that one test may take


def ffmpeg(lab, number, url, transport):
    file = lab.file(f"{number}.md5")
    process = lab.receivers[number].start(
        "ffmpeg", "-nostdin", "-hide_banner", "-v", "warning", "-rtsp_transport", transport, "-i", url, "-map", "0:v", "-vsync", "passthrough",
        "-flush_packets", "1", "-f", "framemd5", file, "-map", "0:a", "-f", "null", "-", log=lab.file(f"{number}.log"))
    return process, lambda: [line for line in file.read_text().splitlines() if line[:1] not in ("", "#")] if file.exists() else []


def gstreamer(lab, number, url, transport):
    log = lab.file(f"{number}.log")
    process = lab.receivers[number].start(
        "gst-launch-1.0", "-e", "-v", "rtspsrc", f"location={url}", f"protocols={transport}", "name=s",
        "s.", "!", "application/x-rtp,media=video", "!", "rtph264depay", "!", "avdec_h264", "!", "checksumsink", "sync=false",
        "s.", "!", "application/x-rtp,media=audio", "!", "fakesink", "sync=false", log=log)
    return process, lambda: rtsp_push.GstreamerPlayer.hashes(log.read_text(errors="replace"))


def encoder(lab):
    penstock = lab.start_penstock(lab.node, config(lab))
    return penstock, "camera-1", lambda: start_source(lab.source, LAN[4], 20000, 20002, pattern="testsrc2=size=320x180:rate=25")


def publisher(lab):
    penstock = lab.start_penstock(lab.node, rtsp_push.config(lab, "listen: [\":554\"], publish: { takeover: true }"))
    path = rtsp_push.film(lab)
    return penstock, "live", lambda: rtsp_push.ffmpeg(lab, path, "udp")


def pulled(lab):
    penstock = lab.start_penstock(lab.node, pull_config(lab, {"gate": f"url: \"rtsp://{SOURCE[4]}:8554/live\", transport: udp"}))
    return penstock, "gate", lambda: camera.start(lab.source)


def assert_one_source(capture, port):
    """As tshark sees it: one SSRC, each number one more than the one before, and no time that goes back or leaps."""
    rows = capture.fields(f"rtp && udp.dstport == {port} && ip.src == {WAN[4]}", "rtp.ssrc", "rtp.seq", "rtp.timestamp", options=("-d", f"udp.port=={port},rtp"))
    assert len({ssrc for ssrc, *_ in rows}) == 1, f"port {port}: {set(ssrc for ssrc, *_ in rows)}"
    for (_, seq, time), (_, after, later) in zip(rows, rows[1:]):
        assert (int(after) - int(seq)) % 0x10000 == 1, f"port {port}: {after} comes after {seq}"
        assert (int(later) - int(time)) % 0x100000000 < FAR * 90000, f"port {port}: {later} comes after {time}"
    said = {ssrc for ssrc, in capture.fields(f"rtcp && udp.dstport == {port + 1} && ip.src == {WAN[4]} && rtcp.pt == 200", "rtcp.senderssrc", options=("-d", f"udp.port=={port + 1},rtcp"))}
    assert said <= {rows[0][0]}, f"port {port + 1}: reports are of {said}"
    return len(rows)


MULTICAST = "listen: [\":554\"], multicast: { groups: 239.10.0.0/24, port: wan }"


def multicast_encoder(lab):
    penstock = lab.start_penstock(lab.node, config(lab, MULTICAST))
    return penstock, "camera-1", lambda: start_source(lab.source, LAN[4], 20000, 20002, pattern="testsrc2=size=320x180:rate=25")


def multicast_pulled(lab):
    penstock = lab.start_penstock(lab.node, pull_config(lab, {"gate": f"url: \"rtsp://{SOURCE[4]}:8554/live\", transport: udp"}).replace(
        "listen: [\":554\"]", MULTICAST))
    return penstock, "gate", lambda: camera.start(lab.source)


@cases(source=("multicast_encoder", "multicast_pulled"))
def test_multicast(source):
    """ffmpeg and GStreamer share a group; the source is killed and started again: both decode what it then sends, in the sessions that
    they had, and the group carries one source without a gap."""
    with Relay(3) as lab:
        penstock, stream, begin = globals()[source](lab)
        process = begin()
        wait_media(penstock, stream)
        wire = Capture(lab.receivers[2], "eth0")  # the switch floods groups: this one watches nothing itself
        url = f"rtsp://{WAN[4]}/{stream}"
        players = [ffmpeg(lab, 0, url, "udp_multicast"), gstreamer(lab, 1, url, "udp-mcast")]

        def both_have(more, before=(0, 0)):
            wait_for(lambda: all(len(pictures()) >= had + more for (_, pictures), had in zip(players, before)),
                     f"{more} pictures more than {before}; there are {[len(pictures()) for _, pictures in players]}\n"
                     + "\n".join(player.text()[-300:] for player, _ in players) + penstock.text()[-800:], 40)
        both_have(PICTURES)
        shown = penstock.show("rtsp sessions")
        groups = {row["to"] for row in shown["tracks"]}
        assert len(groups) == 2 and [row["transport"] for row in shown["sessions"]] == ["multicast"] * 2, shown
        process.child.kill()
        process.child.wait()
        before = [len(pictures()) for _, pictures in players]
        process = begin()
        both_have(PICTURES, before)
        assert {row["session"] for row in sessions(penstock)} == {row["session"] for row in shown["sessions"]}
        assert {row["to"] for row in penstock.show("rtsp sessions")["tracks"]} == groups
        for player, _ in players:
            assert player.running()
            player.child.send_signal(signal.SIGINT)
        for group in groups:
            assert assert_one_source(wire, int(group.rsplit(":", 1)[1])) >= 10, group
        assert_ledger(penstock.metrics())


@cases(source=("encoder", "publisher", "pulled"))
def test_restart(source):
    """ffmpeg and GStreamer, over UDP and TCP, play a source that is killed and started again: all of them decode what it then sends,
    in the session that they had."""
    with Relay(4) as lab:
        penstock, stream, begin = globals()[source](lab)
        process = begin()
        wait_media(penstock, stream)
        heard = [Capture(lab.receivers[number], "eth0") for number in (0, 2)]
        url = f"rtsp://{WAN[4]}/{stream}"
        players = [player(lab, number, url, transport) for number, (player, transport) in enumerate(
            ((ffmpeg, "udp"), (ffmpeg, "tcp"), (gstreamer, "udp"), (gstreamer, "tcp")))]

        def all_have(more, before=(0,) * 4):
            wait_for(lambda: all(len(pictures()) >= had + more for (_, pictures), had in zip(players, before)),
                     f"{more} pictures more than {before}; there are {[len(pictures()) for _, pictures in players]}\n"
                     + "\n".join(player.text()[-300:] for player, _ in players) + penstock.text()[-800:], 40)
        all_have(PICTURES)
        shown = penstock.show("rtsp sessions")
        process.child.kill()
        process.child.wait()
        before = [len(pictures()) for _, pictures in players]
        process = begin()
        all_have(PICTURES, before)
        ids = {row["session"] for row in sessions(penstock) if row["state"] == "playing"}
        assert ids == {row["session"] for row in shown["sessions"] if row["state"] == "playing"} and len(ids) == 4
        assert all(player.running() for player, _ in players)
        for player, _ in players:
            player.child.send_signal(signal.SIGINT)
        for number, capture in zip((1, 3), heard):
            ports = [int(row["to"].rsplit(":", 1)[1]) for row in shown["tracks"] if row["to"].startswith(receiver_address(number) + ":") and row["server_port"]]
            assert len(ports) == 2 and all(assert_one_source(capture, port) >= 10 for port in ports), ports
            wrong = [row for row in capture.bad_checksums()[1] if int(row[3]) & ~1 in ports]  # others are of the player, on a veth
            assert not wrong, wrong[:3]
        assert_ledger(penstock.metrics())

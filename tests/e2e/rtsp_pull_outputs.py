"""Outputs of the tracks that a camera brings, from the file and by hand: real receivers get them while players watch, through a
restart of the camera and a reload."""
import camera
from cases import cases
from judge import Capture
from lab import wait_for
from relay import SOURCE, WAN, Relay, assert_ledger, receiver_address, wait_legs
from rtsp import Client
from rtsp_continuity import assert_one_source, ffmpeg
from rtsp_pull import config, source, state_of, wait_media

URL = f"url: \"rtsp://{SOURCE[4]}:8554/live\""
AT = receiver_address(2)
VIDEO, COPIES, AUDIO, MORE = 6000, 6100, 6200, 6300  # ports of the receiver


def with_tracks(lab, settings, tracks):
    """The stream gate with `tracks` beside its `rtsp`: one line of YAML each."""
    return config(lab, {"gate": settings}).replace("  - { name: gate, ", "  - name: gate\n    ").rstrip(" }\n") + " }\n" \
        + "    tracks:\n" + "".join(f"      - {track}\n" for track in tracks)


def to(*ports):
    return ", ".join(f"{{ rtp: \"{AT}:{port}\" }}" for port in ports)


def rtp(capture, port):
    """[(SSRC, number, payload type)] as tshark reads them."""
    return [(ssrc, int(seq), int(kind)) for ssrc, seq, kind in capture.fields(
        f"rtp && udp.dstport == {port}", "rtp.ssrc", "rtp.seq", "rtp.p_type", options=("-d", f"udp.port=={port},rtp"))]


def receive(lab, sdp, name):
    """ffmpeg as a receiver of outputs: the process, and how many pictures it has decoded."""
    out = lab.file(f"{name}.md5")
    process = lab.receivers[1].start("ffmpeg", "-nostdin", "-hide_banner", "-v", "warning", "-protocol_whitelist", "file,udp,rtp", "-i", lab.file(f"{name}.sdp", sdp),
                                     "-map", "0:v", "-vsync", "passthrough", "-flush_packets", "1", "-f", "framemd5", out, log=lab.file(f"{name}.log"))
    return process, lambda: sum(1 for line in out.read_text().splitlines() if line[:1] not in ("", "#")) if out.exists() else 0


@cases(transport=("udp", "tcp"))
def test_restart_and_reload(transport):
    """Video live-live and with repair, audio plain, beside a player; the camera is killed and comes back; a reload takes one output
    and adds another. The player sees one source that goes on; tshark sees every output whole, ffmpeg decodes it."""
    with Relay(3) as lab:
        upstream = camera.start(lab.source)
        video = (f"{{ media: video, encoding: h264/90000, feedback: {{}}, delay: 20ms, outputs: [{{ live_live: [{to(VIDEO)}, {to(COPIES)}] }}, "
                 f"{{ rtp: \"{receiver_address(3)}:6000\", fec: {{ scheme: flexfec }} }}] }}")
        audio = f"{{ media: audio, payload_type: 8, outputs: [{to(AUDIO)}] }}"
        text = with_tracks(lab, f"{URL}, transport: {transport}", [audio, video])
        penstock = lab.start_penstock(lab.node, text)
        heard, repaired, watched = (Capture(lab.receivers[n], "eth0") for n in (1, 2, 0))
        wait_legs(penstock, 4)
        wait_media(penstock)
        player, pictures = ffmpeg(lab, 0, f"rtsp://{WAN[4]}/gate", "udp")
        one, received = receive(lab, penstock.cli("show", "stream", "gate", "sdp", AT), "one")
        wait_for(lambda: len(pictures()) > 25 and received() > 25, f"pictures: {len(pictures())}, {received()}\n{one.text()[-800:]}{state_of(penstock)}", 30)
        one.stop()
        session = penstock.show("rtsp sessions")["tracks"]

        upstream.child.kill()
        upstream.child.wait()
        wait_for(lambda: source(penstock)["state"] != "playing", "the loss to be noticed")
        assert len(penstock.show("stream gate")["legs"]) == 6  # four of outputs, two of the player
        camera.start(lab.source)
        wait_for(lambda: source(penstock)["state"] == "playing", state_of(penstock), 20)
        before = len(pictures())
        two, received = receive(lab, penstock.cli("show", "stream", "gate", "sdp", AT), "two")
        wait_for(lambda: len(pictures()) > before + 25 and received() > 25, f"pictures: {len(pictures())}, {received()}\n{two.text()[-800:]}{state_of(penstock)}", 30)

        connects = source(penstock)["connects"]
        penstock.config.write_text(text.replace(to(AUDIO), to(MORE)) + penstock.control)
        said = penstock.cli("reload")
        assert f"audio: output {AT}:{MORE} added" in said and f"audio: output {AT}:{AUDIO} removed" in said, said
        before = len(pictures())
        wait_for(lambda: len(pictures()) > before + 25 and penstock.metrics().sum("penstock_leg_packets_total", stream="gate", leg=f"{AT}:{MORE}") > 20,
                 f"media after the reload\n{state_of(penstock)}", 20)
        assert source(penstock)["connects"] == connects
        assert [row["session"] for row in penstock.show("rtsp sessions")["tracks"]] == [row["session"] for row in session]
        assert source(penstock)["unmet"] is None and "get nothing" not in penstock.text()
        assert_ledger(penstock.metrics())
        player.stop()
        two.stop()
        assert penstock.stop() == 0, penstock.text()[-2000:]  # captures end in silence

        ports = [int(row["to"].rsplit(":", 1)[1]) for row in session]
        assert all(assert_one_source(watched, port) >= 10 for port in ports), ports
        for port, kind in ((VIDEO, 96), (COPIES, 96), (AUDIO, 8), (MORE, 8)):
            packets = rtp(heard, port)
            lives = list(dict.fromkeys(ssrc for ssrc, _, _ in packets))
            assert len(lives) == (1 if port == MORE else 2) and {p for _, _, p in packets} == {kind}, (port, lives, len(packets))
            for life in lives:  # as the camera numbered it, and nothing missing
                numbers = [seq for ssrc, seq, _ in packets if ssrc == life]
                assert len(numbers) > 5 and all((b - a) % 65536 == 1 for a, b in zip(numbers, numbers[1:])), (port, life)
        assert [p[1] for p in rtp(heard, VIDEO)] == [p[1] for p in rtp(heard, COPIES)]
        assert {kind for _, _, kind in rtp(repaired, VIDEO)} > {96}, "no repair came"


def test_on_demand():
    """An output is a receiver: it starts a camera that is fetched on demand, and keeps it. Without it, it stops; by hand it begins again."""
    with Relay(2) as lab:
        upstream = camera.start(lab.source)
        text = with_tracks(lab, f"{URL}, start: on_demand, linger: 1s", [f"{{ media: video, outputs: [{to(VIDEO)}] }}"])
        penstock = lab.start_penstock(lab.node, text)
        wait_media(penstock)
        wait_for(lambda: penstock.metrics().sum("penstock_leg_packets_total", stream="gate") > 30, "packets at the receiver")
        shown = penstock.show("config")["settings"]
        assert [(row["stream"], row["track"], row["rtp"]) for row in shown] == [("gate", "video", f"{AT}:{VIDEO}")], shown
        penstock.cli("del", "output", "gate", f"rtp://{AT}:{VIDEO}?track=video")
        upstream.wait_for_text("TEARDOWN", 10)
        wait_for(lambda: source(penstock)["state"] == "idle", state_of(penstock), 10)
        assert not penstock.show("config")["settings"] and not penstock.show("stream gate")["legs"]
        code, _, errors = penstock.cli_exit("add", "output", "gate", f"rtp://{AT}:{MORE}")
        assert code != 0 and "track=video" in errors, errors
        penstock.cli("add", "output", "gate", f"rtp://{AT}:{MORE}?track=audio")
        wait_for(lambda: penstock.metrics().sum("penstock_leg_packets_total", stream="gate", leg=f"{AT}:{MORE}", track="audio") > 30, state_of(penstock), 15)
        assert source(penstock)["connects"] == 2
        assert "touched: gate" in penstock.cli("reload")
        wait_for(lambda: penstock.metrics().sum("penstock_leg_packets_total", stream="gate", leg=f"{AT}:{VIDEO}") > 30, "the output of the file", 15)
        assert [leg["leg"] for leg in penstock.show("stream gate")["legs"]] == [f"{AT}:{VIDEO}"]
        assert source(penstock)["connects"] == 2
        penstock.cli("add", "stream", "second", f"{{rtsp: {{url: \"rtsp://{SOURCE[4]}:8554/live\"}}, tracks: [{{media: audio, outputs: [{to(AUDIO)}]}}]}}")
        wait_for(lambda: penstock.metrics().sum("penstock_leg_packets_total", stream="second") > 30, state_of(penstock), 15)
        assert_ledger(penstock.metrics())


def test_unmet():
    """What the camera has otherwise, or not at all, is said, shown and counted, and gets nothing; players and the others get theirs."""
    with Relay(2) as lab:
        camera.start(lab.source)
        tracks = [f"{{ media: video, encoding: H265/90000, outputs: [{to(VIDEO)}] }}", f"{{ media: video, outputs: [{to(COPIES)}] }}",
                  f"{{ media: audio, payload_type: 8, outputs: [{to(AUDIO)}] }}"]
        text = with_tracks(lab, URL, tracks)
        penstock = lab.start_penstock(lab.node, text)
        wait_media(penstock)
        penstock.wait_for_text("RTSP pull 'gate': video: the camera sends H264/90000, and not H265/90000: its outputs get nothing")
        penstock.wait_for_text("RTSP pull 'gate': video-2: the camera has no such track: its outputs get nothing")
        wait_for(lambda: penstock.metrics().sum("penstock_leg_packets_total", stream="gate") > 30, "audio at the receiver")
        assert [leg["leg"] for leg in penstock.show("stream gate")["legs"]] == [f"{AT}:{AUDIO}"]
        assert source(penstock)["unmet"].count("video") == 2
        assert penstock.metrics().sum("penstock_rtsp_pull_unmet_tracks", stream="gate") == 2
        viewer, other = Client(lab.receivers[0], name="gate"), Client(lab.receivers[1], name="gate")
        for one in (viewer, other):
            assert one.setup("video").status == 200 and one.request("PLAY").status == 200 and one.packet("video")
        # A leg each, and one connection to the camera.
        assert len(penstock.show("stream gate")["legs"]) == 3 and source(penstock)["connects"] == 1
        assert len(lab.source.run("ss", "-Htn", "state", "established", "sport", "=", ":8554").splitlines()) == 1
        code, _, errors = penstock.cli_exit("add", "output", "gate", f"rtp://{AT}:{MORE}?track=video&fec=flexfec&fec.payload_type=96&fec.port=0")
        assert code != 0, errors
        penstock.config.write_text(text.replace("H265", "H264") + penstock.control)
        penstock.cli("reload")
        wait_for(lambda: penstock.metrics().sum("penstock_leg_packets_total", stream="gate", leg=f"{AT}:{VIDEO}") > 30, "video at the receiver")
        assert viewer.drain("video").packet("video")
        wait_for(lambda: source(penstock)["unmet"] == "video-2: the camera has no such track", "what is left")
        bad = text.replace("encoding: H265/90000", "fmtp: a=b")
        penstock.config.write_text(bad + penstock.control)
        code, _, errors = penstock.cli_exit("reload")
        assert code != 0 and "key 'fmtp' does not go beside `rtsp`" in errors, errors
        assert_ledger(penstock.metrics())

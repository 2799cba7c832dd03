"""RTSP viewers over UDP: real players, and one of few words for what they cannot be made to do. What arrives is compared with
what the source sent, payload by payload."""
import os
import re

from cases import cases
from judge import Capture
from lab import wait_for
from media import VIDEO_PT, start_source
from relay import LAN, WAN, Relay, assert_ledger, receiver_address
from rtsp import Client, config
from steady import Steady

URL = f"rtsp://{WAN[4]}/camera-1"


def sessions(penstock):
    return penstock.show("rtsp sessions")["sessions"]


def wait_sessions(penstock, count, seconds=10):
    wait_for(lambda: len(sessions(penstock)) == count, f"{count} sessions; log:\n{penstock.text()[-1500:]}", seconds)


def is_part_of(part, whole):
    """Whether `part` is found in `whole` in one piece."""
    if not part or part[0] not in whole:
        return False
    at = whole.index(part[0])
    return whole[at:at + len(part)] == part


def ffmpeg(node, lab):
    return lab.receivers[0].start(
        "ffmpeg", "-nostdin", "-hide_banner", "-v", "info", "-rtsp_transport", "udp", "-t", "3", "-i", URL,
        "-map", "0:v", "-f", "framemd5", lab.file("video.md5"), "-map", "0:a", "-f", "framemd5", lab.file("audio.md5"))


def gstreamer(node, lab, version="1-0"):
    return lab.receivers[0].start(
        "timeout", "-s", "KILL", "30", "gst-launch-1.0", "-v", "rtspsrc", f"location={URL}", "protocols=udp", f"default-rtsp-version={version}", "name=s",
        "s.", "!", "application/x-rtp,media=video", "!", "rtph264depay", "!", "avdec_h264", "!", "identity", "eos-after=120", "!", "checksumsink",
        "s.", "!", "application/x-rtp,media=audio", "!", "rtpmp4gdepay", "!", "avdec_aac", "!", "identity", "name=sound", "silent=false", "eos-after=200",
        "!", "fakesink", log=lab.file("gst.log"))


def gstreamer_2(node, lab):
    """It asks by RTSP 2.0, is told 505, and goes on with 1.0."""
    return gstreamer(node, lab, version="2-0")


def decoded(name, lab, process):
    """How many pictures and sounds the player made of it."""
    lines = lambda path: sum(1 for line in path.read_text().splitlines() if not line.startswith("#")) if path.exists() else 0
    if name == "ffmpeg":
        return lines(lab.file("video.md5")), lines(lab.file("audio.md5"))
    text = lab.file("gst.log").read_text(errors="replace")
    return len(re.findall(r"^\d+:\d\d:\d\d\.\d+ [0-9a-f]{40}$", text, re.MULTILINE)), text.count("sound: last-message = chain")


@cases(player=("ffmpeg", "gstreamer", "gstreamer_2"), driver=("af_xdp", "af_packet"))
def test_player(player, driver):
    """A player watches video and audio, and hears just what the source sent; it goes by TEARDOWN and leaves nothing."""
    with Relay(1, driver) as lab:
        penstock = lab.start_penstock(lab.node, config(lab))
        sent, heard = Capture(lab.source, "eth0"), Capture(lab.receivers[0], "eth0")
        source = start_source(lab.source, LAN[4], 20000, 20002)
        wait_for(lambda: all(penstock.metrics().sum("penstock_path_packets_total", track=t) > 20 for t in ("video", "audio")), "media", 20)
        process = globals()[player](penstock, lab)
        seen = {}

        def watching():
            for row in penstock.show("rtsp sessions")["tracks"]:
                seen[row["track"]] = row
            return {"video", "audio"} <= seen.keys() and not sessions(penstock)
        wait_for(watching, f"the session to come and go; {seen}\n{process.text()[-1500:]}\n{penstock.text()[-1500:]}", 40)
        process.wait(20)
        source.stop()
        pictures, sounds = decoded(player, lab, process)
        assert pictures >= 40 and sounds >= 40, (pictures, sounds, process.text()[-3000:])
        for track, port in (("video", 20000), ("audio", 20002)):
            to = int(seen[track]["to"].rsplit(":", 1)[1])
            got = heard.payloads(to, to=receiver_address(1))
            assert len(got) > 20 and is_part_of(got, sent.payloads(port, to=LAN[4])), f"{track}: {len(got)} packets are not what was sent"
            froms = set(heard.fields(f"udp.dstport == {to} && ip.dst == {receiver_address(1)}", "ip.src", "udp.srcport"))
            assert froms == {(WAN[4], str(seen[track]["server_port"]))}, froms
        metrics = penstock.metrics()
        assert metrics.sum("penstock_rtsp_sessions_ended_total", reason="teardown") == 1
        assert metrics.sum("penstock_rtsp_port_pairs_taken") == 0
        assert metrics.sum("penstock_worker_consumed_packets_total", **{"as": "feedback"}) > 0
        assert heard.count("icmp.type == 3") == 0
        assert_ledger(metrics)
        assert re.search(r"RTSP session \w{8}: .* had 'camera-1' \(audio, video\) over UDP .* ended by teardown; agent '.+'", penstock.text())


def test_ffprobe_and_curl():
    with Relay(1) as lab:
        penstock = lab.start_penstock(lab.node, config(lab))
        start_source(lab.source, LAN[4], 20000, 20002)
        wait_for(lambda: penstock.metrics().sum("penstock_path_packets_total", track="audio") > 20, "media", 20)
        said = lab.receivers[0].run("ffprobe", "-v", "error", "-rtsp_transport", "udp", "-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0", URL)
        assert "h264,640,360" in said and "aac" in said, said
        said = lab.receivers[0].run("curl", "-s", "-i", URL)  # OPTIONS is what it asks by itself
        assert "RTSP/1.0 200 OK" in said and "DESCRIBE" in said, said
        wait_sessions(penstock, 0)


@cases(driver=("af_xdp", "af_packet"), family=(4, 6))
def test_exact(driver, family):
    """Addresses, ports and numbers that are promised are those that come; PAUSE is this viewer's alone; two viewers, two legs."""
    with Relay(2, driver) as lab:
        penstock = lab.start_penstock(lab.node, config(lab))
        heard = Capture(lab.receivers[0], "eth0", "icmp[icmptype] == 3 or (icmp6 and ip6[40] == 1)")
        with Steady(lab):
            wait_for(lambda: penstock.metrics().sum("penstock_path_packets_total", track="video") > 20, "media")
            one, two = (Client(receiver, host=WAN[family]) for receiver in lab.receivers)
            sdp = one.request("DESCRIBE", Accept="application/sdp")
            assert sdp["Content-Base"] == one.url + "/" and f"a=rtpmap:{VIDEO_PT} H264/90000" in sdp.body, sdp.body
            for client in (one, two):
                transport = client.setup("video")["Transport"]
                assert f"source={WAN[family]}" in transport and "ssrc=00005EED" in transport, transport
                assert client.silent("video")  # not before PLAY
            for client in (one, two):
                reply = client.request("PLAY", Range="npt=0.000-")
                seq, time_ = map(int, re.fullmatch(rf"url={re.escape(client.url)}/video;seq=(\d+);rtptime=(\d+)", reply["RTP-Info"]).groups())
                packet, sender = client.packet("video")
                assert sender[:2] == (WAN[family], client.server_ports["video"][0]), (sender, client.server_ports)
                assert int.from_bytes(packet[2:4], "big") == seq and int.from_bytes(packet[4:8], "big") == time_, (packet[:8].hex(), seq)
            wait_for(lambda: len(penstock.show("stream camera-1")["legs"]) == 2, "two legs")
            assert not [row for row in penstock.show("config")["settings"] if row["kind"] == "output"]
            assert one.request("PAUSE").status == 200
            wait_for(lambda: one.silent("video"), "silence for the one that pauses")
            assert two.packet("video") and not two.silent("video")
            reply = one.request("PLAY")
            packet, _ = one.packet("video")
            assert f";seq={int.from_bytes(packet[2:4], 'big')};" in reply["RTP-Info"], reply["RTP-Info"]
            one.report("video", lost=7)
            wait_for(lambda: penstock.metrics().sum("penstock_leg_reported_lost_packets_total") == 7, "what the viewer reports")
            assert one.request("GET_PARAMETER").status == 200 and one.request("SET_PARAMETER").status == 200
            assert one.request("GET_PARAMETER", body="packets_received\r\n").status == 451
            assert one.request("TEARDOWN").status == 200
            assert one.request("PLAY").status == 454
            wait_for(lambda: one.silent("video"), "silence after TEARDOWN")
            assert not two.silent("video")
            wait_sessions(penstock, 1)
        assert_ledger(penstock.metrics())
        assert heard.count("icmp || icmpv6") == 0  # no port is unreachable


def test_vanished():
    """A viewer that is killed is gone after its timeout; one whose RTCP goes on stays, though it says nothing by RTSP."""
    with Relay(2) as lab:
        penstock = lab.start_penstock(lab.node, config(lab, "listen: [\":554\"], session_timeout: 5s"))
        start_source(lab.source, LAN[4], 20000, 20002)
        wait_for(lambda: penstock.metrics().sum("penstock_path_packets_total", track="audio") > 20, "media", 20)
        quiet = Client(lab.receivers[1])
        quiet.setup("video")
        assert quiet.request("PLAY").status == 200
        quiet.tcp.close()  # a session over UDP outlives its connection
        player = lab.receivers[0].start("ffmpeg", "-nostdin", "-v", "error", "-rtsp_transport", "udp", "-i", URL, "-f", "null", "-")
        wait_for(lambda: sum(row["packets"] for row in penstock.show("rtsp sessions")["tracks"] if row["to"].startswith(receiver_address(1))) > 50,
                 "the player to play", 20)
        player.child.kill()
        player.child.wait()

        def gone():
            quiet.report("video")
            return len(sessions(penstock)) == 1
        wait_for(gone, "the killed one to be gone", 15, every=0.5)
        assert sessions(penstock)[0]["viewer"] == receiver_address(2)
        metrics = penstock.metrics()
        assert metrics.sum("penstock_rtsp_sessions_ended_total", reason="timeout") == 1
        assert metrics.sum("penstock_rtsp_port_pairs_taken") == 1
        assert "ended by timeout" in penstock.text()
        wait_sessions(penstock, 0, 15)  # and now the other one, too


def test_stream_goes():
    """A stream is deleted under its viewer: the session ends and the connection with it. One that is made otherwise keeps it."""
    with Relay(1) as lab:
        penstock = lab.start_penstock(lab.node, config(lab))
        with Steady(lab):
            client = Client(lab.receivers[0])
            client.setup("video")
            assert client.request("PLAY").status == 200 and client.packet("video")
            penstock.cli("add", "output", "camera-1", f"rtp://{receiver_address(1)}:6000?track=video")
            wait_for(lambda: len(penstock.show("stream camera-1")["legs"]) == 2, "the output beside the viewer")
            assert not client.silent("video")  # the track was made anew, and its viewer goes on
            penstock.cli("del", "stream", "camera-1")
            assert client.closed()
            wait_sessions(penstock, 0)
            assert penstock.metrics().sum("penstock_rtsp_sessions_ended_total", reason="stream_gone") == 1


def test_wrong():
    """Wrong requests get the right answer, and noise a closed connection; others go on."""
    with Relay(1) as lab:
        penstock = lab.start_penstock(lab.node, config(lab, "listen: [\":554\"], per_address: { connections: 8, sessions: 2 }"))
        receiver = lab.receivers[0]
        client = Client(receiver)
        for status, method, url, headers in (
                (404, "DESCRIBE", client.url + "x", {}), (406, "DESCRIBE", None, {"Accept": "text/html"}), (404, "SETUP", client.url + "/x", {"Transport": "RTP/AVP;unicast;client_port=5000-5001"}),
                (400, "SETUP", client.url + "/video", {}), (461, "SETUP", client.url + "/video", {"Transport": "RTP/SAVP;unicast;client_port=5000-5001"}),
                (403, "SETUP", client.url + "/video", {"Transport": "RTP/AVP;unicast;client_port=5000-5001;destination=10.9.9.9"}),
                (459, "SETUP", None, {"Transport": "RTP/AVP;unicast;client_port=5000-5001"}), (454, "PLAY", None, {}), (454, "TEARDOWN", None, {"Session": "none"}),
                (405, "ANNOUNCE", None, {}), (405, "RECORD", None, {}), (501, "FLY", None, {}), (551, "OPTIONS", None, {"Require": "implicit-play"}), (200, "OPTIONS", "*", {})):
            reply = client.request(method, url, **headers)
            assert reply.status == status and reply["CSeq"] == str(client.sequence), (method, url, headers, reply.status)
        reply = client.send(f"OPTIONS {client.url} RTSP/2.0\r\nCSeq: 99\r\n\r\n").reply()
        assert (reply.status, reply.version, reply["CSeq"]) == (505, "RTSP/1.0", "99")
        assert client.send(f"OPTIONS {client.url} RTSP/1.0\r\n\r\n").reply().status == 400
        for noise in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", os.urandom(16).replace(b"$", b"x") + bytes(64), b"A" * 70000, b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 9999999\r\n\r\n"):
            assert Client(receiver).send(noise).closed()
        several = [Client(receiver) for _ in range(2)]
        for one in several:
            assert one.setup("video").status == 200
        assert client.setup("video").status == 453  # per_address.sessions
        assert several[0].request("PLAY", several[1].url, Session=several[1].session).status == 200  # the same address
        again = Client(receiver)  # a player that was killed and started again: the same port
        again.sockets = several[0].sockets
        assert several[1].request("TEARDOWN").status == 200 and again.setup("video").status == 200
        assert several[0].request("PLAY").status == 454 and again.request("PLAY").status == 200
        assert penstock.metrics().sum("penstock_rtsp_sessions_ended_total", reason="replaced") == 1
        again.tcp.close()
        wait_for(lambda: penstock.metrics().sum("penstock_rtsp_connections") == 3, "it to be closed")
        crowd = [Client(receiver) for _ in range(5)]
        assert Client(receiver).closed()  # per_address.connections
        assert penstock.metrics().sum("penstock_rtsp_connections_refused_total", reason="address_full") == 1
        assert crowd[0].request("OPTIONS").status == 200
        assert penstock.metrics().sum("penstock_rtsp_requests_total", method="SETUP", status="461") == 1

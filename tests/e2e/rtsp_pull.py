"""Streams that penstock fetches from cameras: a gst-rtsp-server, another penstock, and one of few words; players watch them."""
import hashlib
import socket
import threading

import camera
from cases import cases
from judge import Capture
from lab import wait_for
from relay import LAN, SOURCE, WAN, Relay, assert_ledger, receiver_address, rtp_packet
from rtsp import Client
from rtsp import config as camera_1
from rtsp_play import is_part_of, wait_sessions
from steady import Steady

LIVE = f"rtsp://eve:open%20sesame@{SOURCE[4]}:8554/live"
SECRETS = ("sesame", "eve")


def config(lab, pulls):
    """pulls: {stream: settings of `rtsp`}."""
    streams = "".join(f"  - {{ name: {name}, rtsp: {{ {settings} }} }}\n" for name, settings in pulls.items())
    return (f"node: {lab.name}\nworkers: {{ idle: sleep }}\nmemory: {{ mbufs: 16384 }}\nrtsp: {{ listen: [\":554\"] }}\n"
            f"ports:\n{lab.ports()}streams:\n{streams}")


def source(penstock, stream="gate"):
    return next(row for row in penstock.show("rtsp sources")["sources"] if row["stream"] == stream)


def wait_media(penstock, stream="gate", seconds=20):
    wait_for(lambda: penstock.metrics().sum("penstock_path_packets_total", stream=stream) > 30,
             state_of(penstock), seconds)


def state_of(penstock):
    return f"media; {penstock.show('rtsp sources')}\n{penstock.text()[-1500:]}"


def player(lab, stream="gate", seconds=2):
    return lab.receivers[0].start("ffmpeg", "-nostdin", "-hide_banner", "-y", "-v", "info", "-rtsp_transport", "udp", "-t", seconds, "-i", f"rtsp://{WAN[4]}/{stream}",
                                  "-map", "0:v", "-f", "framemd5", lab.file(f"{stream}.md5"))


def pictures(lab, stream="gate"):
    return sum(1 for line in lab.file(f"{stream}.md5").read_text().splitlines() if not line.startswith("#"))


def describe(lab, stream="gate"):
    client = Client(lab.receivers[0], name=stream)
    client.tcp.settimeout(20)
    return client.request("DESCRIBE", Accept="application/sdp")


@cases(transport=("udp", "tcp", "multicast"))
def test_camera(transport):
    """With Digest, by each way: what a player gets is what the camera sent. No password is seen; the camera hears goodbye."""
    with Relay(1) as lab:
        upstream = camera.start(lab.source, 8554, "eve", "open sesame")
        sent, heard = Capture(lab.source, "eth0", "udp or tcp port 8554"), Capture(lab.receivers[0], "eth0")
        url = LIVE.replace("/live", "/mcast") if transport == "multicast" else LIVE
        penstock = lab.start_penstock(lab.node, config(lab, {"gate": f"url: \"{url}\", transport: {transport}"}))
        wait_media(penstock)
        watching = player(lab)
        wait_for(lambda: penstock.show("rtsp sessions")["tracks"], "a viewer", 15)
        tracks = {row["track"]: row for row in penstock.show("rtsp sessions")["tracks"]}
        assert watching.wait(30) == 0, watching.text()[-2000:]
        assert pictures(lab) >= 30, watching.text()[-2000:]
        row = source(penstock)
        assert (row["state"], row["transport"], row["connects"], row["failure"]) == ("playing", transport, 1, None), row
        got = heard.payloads(int(tracks["video"]["to"].rsplit(":", 1)[1]), to=receiver_address(1))
        assert len(got) > 30, len(got)
        address, port = penstock.show("stream gate")["paths"][0]["source"].rsplit(":", 1)
        metrics = penstock.metrics()
        assert metrics.sum("penstock_rtsp_pull_playing", stream="gate") == 1
        assert metrics.sum("penstock_rtsp_pull_connects_total") == 1 and metrics.sum("penstock_rtsp_pull_failures_total") == 0
        assert_ledger(metrics)
        if transport == "tcp":
            wait_for(lambda: penstock.metrics().sum("penstock_ingest_replies_total", result="told") >= 2, "reports", 20)
        shown = penstock.cli("show", "config") + penstock.cli("show", "rtsp", "sources") + penstock.cli("show", "stream", "gate")
        assert f"{SOURCE[4]}:8554/" in shown
        penstock.cli("del", "stream", "gate")
        upstream.wait_for_text("TEARDOWN")
        wait_for(lambda: penstock.metrics().sum("penstock_rtsp_port_pairs_taken") == 0, "the ports to be free")
        if transport == "tcp":  # as every client does: some cameras end a session of which they hear nothing
            reports = sent.fields(f"rtcp.pt == 201 && ip.dst == {SOURCE[4]}", "rtcp.sdes.text", "_ws.malformed", options=("-d", "tcp.port==8554,rtsp"))
            assert reports and all("penstock" in row[0] and row[1] == "" for row in reports), reports
        else:
            assert is_part_of(got, sent.payloads(int(port), to=address)), "other packets than the camera's"
        for secret in SECRETS:
            assert secret not in shown and secret not in penstock.text(), secret


def test_on_demand():
    """The first viewer starts it, and a while after the last one it ends; who cannot be served is told why."""
    with Relay(1) as lab:
        pulls = {"gate": f"url: \"{LIVE}\", start: on_demand, linger: 1s", "wrong": f"url: \"{LIVE.replace('sesame', 'x')}\", start: on_demand",
                 "none": f"url: \"{LIVE.replace('/live', '/no')}\", start: on_demand",
                 "away": f"url: \"rtsp://{SOURCE[4]}:9/x\", start: on_demand", "mute": f"url: \"rtsp://{SOURCE[4]}:8555/x\", start: on_demand, wait: 1s"}
        upstream = camera.start(lab.source, 8554, "eve", "open sesame")
        mute = lab.source.socket(kind=socket.SOCK_STREAM, bind=("", 8555))  # takes connections and says nothing
        mute.listen()
        penstock = lab.start_penstock(lab.node, config(lab, pulls))
        for stream, status in (("wrong", 503), ("none", 404), ("away", 503), ("mute", 504)):
            assert describe(lab, stream).status == status, (stream, penstock.text()[-1500:])
        assert source(penstock, "wrong")["failure"] == "unauthorized" and source(penstock, "away")["failure"] == "unreachable"
        assert source(penstock)["state"] == "idle" and source(penstock)["connects"] == 0
        for _ in range(2):
            watching = player(lab)
            assert watching.wait(30) == 0 and pictures(lab) >= 30, watching.text()[-2000:]
            wait_for(lambda: source(penstock)["state"] == "idle", "it to stop after the last viewer", 10)
            assert penstock.metrics().sum("penstock_rtsp_pull_playing", stream="gate") == 0
        upstream.wait_for_text("TEARDOWN")
        assert source(penstock)["connects"] == 2
        wait_for(lambda: penstock.metrics().sum("penstock_rtsp_port_pairs_taken") == 0, "the ports to be free", 15)
        assert not any(secret in penstock.text() for secret in SECRETS)


def test_restart():
    """The camera dies and comes back, and the viewer goes on; a reload of another URL too, and one that changes nothing disturbs nothing."""
    with Relay(1) as lab:
        upstream = camera.start(lab.source, 8554, "eve", "open sesame")
        text = config(lab, {"gate": f"url: \"{LIVE}\""})
        penstock = lab.start_penstock(lab.node, text)
        wait_media(penstock)
        viewer = Client(lab.receivers[0], name="gate")
        viewer.setup("video")
        assert viewer.request("PLAY").status == 200 and viewer.packet("video")
        upstream.child.kill()
        upstream.child.wait()
        wait_for(lambda: source(penstock)["state"] != "playing", "the loss to be noticed")
        wait_for(lambda: viewer.silent("video"), "silence")
        assert penstock.metrics().sum("penstock_rtsp_pull_failures_total", stream="gate", reason="closed") == 1
        camera.start(lab.source, 8554, "eve", "open sesame")
        wait_for(lambda: source(penstock)["state"] == "playing", "the camera to be back", 20)
        assert viewer.drain("video").packet("video", 10)
        assert "sent no RTSP" not in penstock.text()
        connects = source(penstock)["connects"]
        assert penstock.text().count("RTSP pull 'gate': closed") == 1  # said once, however often it is tried
        penstock.cli("reload")
        assert not viewer.silent("video") and source(penstock)["connects"] == connects
        penstock.config.write_text(text.replace("/live", "/live/") + penstock.control)
        assert "rtsp changed" in penstock.cli("reload")
        wait_for(lambda: source(penstock)["connects"] == 1 and source(penstock)["state"] in ("playing", "waiting"), "the other URL", 20)
        wait_sessions(penstock, 1)  # the viewer stays, whether it is there or not


def test_udp_blocked():
    """UDP does not come through: after three seconds it is TCP, by itself; a viewer sees pictures."""
    with Relay(1) as lab:
        camera.start(lab.source)
        lab.source.run("nft", "add table inet wall; add chain inet wall out { type filter hook output priority 0; }; add rule inet wall out meta l4proto udp drop")
        penstock = lab.start_penstock(lab.node, config(lab, {"gate": f"url: \"rtsp://{SOURCE[4]}:8554/live\""}))
        wait_media(penstock)
        row = source(penstock)
        assert (row["transport"], row["failure"]) == ("tcp", "no_packets"), row
        watching = player(lab)
        assert watching.wait(30) == 0 and pictures(lab) >= 30, watching.text()[-2000:]
        assert penstock.metrics().sum("penstock_rtsp_pull_failures_total", reason="no_packets") == 1


def test_other_sender():
    """The camera sends from another address than it names: that is heard with `from: first`, which then hears nobody else, and
    with `from: any`, which hears everybody."""
    with Relay(1) as lab:
        camera.start(lab.source)
        elsewhere = "10.1.0.77"
        lab.source.ip("address", "add", f"{elsewhere}/24", "dev", "eth0")
        lab.source.ip("route", "replace", "10.1.0.0/24", "dev", "eth0", "src", elsewhere)
        url = f"url: \"rtsp://{SOURCE[4]}:8554/live\", transport: udp"
        penstock = lab.start_penstock(lab.node, config(lab, {"gate": url, "first": f"{url}, from: first", "open": f"{url}, from: any"}))
        for stream in ("first", "open"):
            wait_media(penstock, stream)
        for track in ("video", "audio"):
            penstock.wait_for_text(f"RTSP pull 'first': {track} is taken from {elsewhere} alone")
        viewer = Client(lab.receivers[0], name="first")
        viewer.setup("video")
        assert viewer.request("PLAY").status == 200 and viewer.packet("video")
        other = lab.source.socket(bind=(SOURCE[4], 0))
        before = penstock.metrics().drops().get("no_flow", 0)
        for stream in ("first", "open"):
            at = next(row["source"] for row in penstock.show(f"stream {stream}")["paths"] if row["track"] == "video").rsplit(":", 1)
            for number in range(20):
                other.sendto(rtp_packet(number), (at[0], int(at[1])))

        def changes(stream):
            return penstock.metrics().sum("penstock_path_ssrc_changes_total", stream=stream, track="video")
        wait_for(lambda: penstock.metrics().drops().get("no_flow", 0) >= before + 20 and changes("open"), "one to refuse, and one to take them")
        assert changes("first") == 0 and source(penstock, "first")["state"] == "playing"
        wait_for(lambda: source(penstock)["failure"] == "no_packets", "the one that takes the announced sender to hear nothing")
        assert penstock.metrics().sum("penstock_path_packets_total", stream="gate") == 0
        assert viewer.drain("video").packet("video")


def test_redirected():
    """One server sends elsewhere; streams added by hand; a name is looked up."""
    with Relay(1) as lab:
        camera.start(lab.source)
        listener = lab.source.socket(kind=socket.SOCK_STREAM, bind=("", 8555))
        listener.listen()

        def redirect():
            while True:
                try:
                    connection = listener.accept()[0]
                except OSError:
                    return
                with connection, connection.makefile("rb") as lines:
                    for line in lines:
                        if line.lower().startswith(b"cseq:"):
                            connection.sendall(b"RTSP/1.0 302 Moved\r\n" + line + b"Location: rtsp://" + SOURCE[4].encode() + b":8554/live\r\n\r\n")
        threading.Thread(target=redirect, daemon=True).start()
        penstock = lab.start_penstock(lab.node, config(lab, {"gate": f"url: \"rtsp://{SOURCE[4]}:8555/\", transport: udp"}))
        wait_media(penstock)
        penstock.cli("add", "stream", "hand", f"rtsp://{SOURCE[4]}:8554/live", "transport=tcp")
        wait_media(penstock, "hand")
        code, _, errors = penstock.cli_exit("add", "stream", "bad", "rtsp://eve:%2@h/", "transport=tcp")
        assert code != 0 and "hexadecimal" in errors and "eve" not in errors, errors
        penstock.cli("add", "stream", "named", "rtsp://no-such-host.invalid/x")
        wait_for(lambda: source(penstock, "named")["failure"] == "unreachable", "a name that there is not", 20)
        for stream in ("hand", "named", "gate"):
            penstock.cli("del", "stream", stream)
        assert not penstock.show("rtsp sources")["sources"] and not penstock.show("stream all")["streams"]
        assert_ledger(penstock.metrics())


def test_other_ways():
    """Over IPv6, and by a name, on af_packet ports."""
    with Relay(1, "af_packet") as lab:
        camera.start(lab.source, address=SOURCE[6])
        camera.start(lab.node)  # its name is one that everybody knows
        penstock = lab.start_penstock(lab.node, config(lab, {"six": f"url: \"rtsp://[{SOURCE[6]}]:8554/live\", transport: udp",
                                                             "named": "url: \"rtsp://localhost:8554/live\", transport: tcp"}))
        for stream in ("six", "named"):
            wait_media(penstock, stream)
        watching = [player(lab, stream) for stream in ("six", "named")]
        for stream, process in zip(("six", "named"), watching):
            assert process.wait(30) == 0 and pictures(lab, stream) >= 30, process.text()[-2000:]
        assert all(row["source"].startswith(f"[{LAN[6]}]:") for row in penstock.show("stream six")["paths"])
        for stream in ("six", "named"):
            assert (source(penstock, stream)["connects"], source(penstock, stream)["failure"]) == (1, None)
            penstock.cli("del", "stream", stream)
        wait_for(lambda: penstock.metrics().sum("penstock_rtsp_port_pairs_taken") == 0, "the ports to be free")
        assert_ledger(penstock.metrics())


def hashed(algorithm):
    return hashlib.new(algorithm, b"eve:penstock:open sesame").hexdigest()


WANTED = {"nothing": "", "md5": f", users: [{{ name: eve, digest: {{ md5: {hashed('md5')} }} }}]",
          "sha_256": f", users: [{{ name: eve, digest: {{ sha-256: {hashed('sha256')} }} }}]",
          "basic": ", users: [{ name: eve, password: open sesame }], auth: [basic]"}


@cases(wanted=tuple(WANTED))
def test_from_penstock(wanted):
    """One penstock fetches from another, packet by packet, with whatever proof that wants."""
    with Relay(1) as lab:
        first = lab.start_penstock(lab.node, camera_1(lab, f"listen: [\":554\"]{WANTED[wanted]}"))
        ports = "  - { name: lan, driver: af_packet, interface: eth0 }\n"
        with Steady(lab):
            wait_for(lambda: first.metrics().sum("penstock_path_packets_total", track="video") > 20, "media")
            second = lab.start_penstock(lab.receivers[0], config(lab, {"far": f"url: \"rtsp://eve:open%20sesame@{WAN[4]}/camera-1\", transport: udp"}).replace(lab.ports(), ports))
            wait_media(second, "far")
            second.wait_for_text("RTSP pull 'far': video, audio comes from")  # PLAY is answered when the silent track was waited for
            assert source(second, "far")["state"] == "playing"
            assert first.metrics().sum("penstock_rtsp_requests_total", method="DESCRIBE", status="401") == (0 if wanted == "nothing" else 1)
            assert second.metrics().sum("penstock_path_lost_packets_total", stream="far") == 0
        second.stop()
        wait_sessions(first, 0)  # by TEARDOWN
        assert first.metrics().sum("penstock_rtsp_sessions_ended_total", reason="teardown") == 1


def test_connection_lost():
    """The connection to a camera is cut while it goes on: what it sends for the former session is not taken for the new one's, and the
    viewer sees one source."""
    with Relay(1) as lab:
        camera.start(lab.source)
        penstock = lab.start_penstock(lab.node, config(lab, {"gate": f"url: \"rtsp://{SOURCE[4]}:8554/live\", transport: udp"}))
        wait_media(penstock)
        viewer = Client(lab.receivers[0], name="gate")
        assert viewer.setup("video").status == 200 and viewer.request("PLAY").status == 200
        first = viewer.packet("video")[0]
        # Nothing gets through to it that could end the session there, and nothing comes back.
        lab.node.run("nft", "add table inet cut; add chain inet cut out { type filter hook output priority 0; }; add rule inet cut out tcp dport 8554 drop")
        lab.node.run("ss", "-K", "dport", "=", ":8554")
        wait_for(lambda: source(penstock)["state"] != "playing", state_of(penstock))
        lab.node.run("nft", "delete", "table", "inet", "cut")
        wait_for(lambda: source(penstock)["state"] == "playing" and penstock.metrics().sum("penstock_path_packets_total", stream="gate") > 60, state_of(penstock), 40)
        metrics = penstock.metrics()
        for what in ("duplicate_packets", "ssrc_changes", "reordered_packets"):
            assert metrics.sum(f"penstock_path_{what}_total", stream="gate") == 0, what
        assert metrics.drops().get("no_flow", 0) > 30, metrics.drops()  # the former session's
        last = viewer.drain("video").packet("video")[0]
        assert last[8:12] == first[8:12]
        assert_ledger(penstock.metrics())

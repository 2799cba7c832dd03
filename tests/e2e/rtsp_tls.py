"""RTSPS: real players and publishers by TLS, old versions and other words refused, a new certificate under a viewer, and cameras
that we pull from by TLS."""
import re
import ssl

import camera
from cases import cases
from certificates import authority, issue
from judge import Capture
from lab import wait_for
from relay import LAN, SOURCE, WAN, Relay, assert_ledger
from rtsp import TcpClient, config
from rtsp_interleaved import watch_slowly, watched
from rtsp_play import sessions, wait_sessions
from rtsp_pull import SECRETS, config as pull_config, describe, source, wait_media
from rtsp_push import FfmpegPlayer, GstreamerPlayer, config as push_config, ffmpeg, film, gstreamer, wait_published
from steady import Steady

PUSH, WATCH = f"rtsps://{LAN[4]}:322/live", f"rtsps://{WAN[4]}:322/live"


def tls(lab, files):
    return f"tls: {{ certificate: {files[0]}, key: {files[1]} }}"


def handshakes(penstock, result="done"):
    return penstock.metrics().sum("penstock_rtsp_tls_handshakes_total", result=result)


class TlsClient(TcpClient):
    def __init__(self, namespace, authority_file, **where):
        super().__init__(namespace, port=322, **where)
        trust = ssl.create_default_context(cafile=authority_file)
        self.tcp = trust.wrap_socket(self.tcp, server_hostname=self.host)

    def serial(self):
        return self.tcp.getpeercert()["subject"][0][0][1]


def s_client(lab, *options, words="", host=WAN[4]):
    """What openssl says of a connection."""
    return lab.receivers[0].run("timeout", "4", "openssl", "s_client", "-connect", f"{host}:322", "-CAfile", lab.file("authority.pem"), "-verify_return_error",
                                *options, check=False, input=words)


@cases(kind=("ffmpeg", "gstreamer"))
def test_player(kind):
    """What is pushed by TLS is what a player gets by TLS; nothing of it is readable on the wire."""
    with Relay(1) as lab:
        authority(lab)
        files = issue(lab, "node", LAN[4], WAN[4])
        penstock = lab.start_penstock(lab.node, push_config(lab, tls(lab, files) + ", publish: {}"))
        path = film(lab)
        seen = Capture(lab.receivers[0], "eth0", "tcp port 322")
        if kind == "ffmpeg":
            pusher = ffmpeg(lab, path, "tcp", PUSH)
        else:
            pusher = gstreamer(lab, path, "tcp", PUSH, "tls-validation-flags=0")
        wait_published(penstock, pusher)
        playing = FfmpegPlayer(lab, WATCH, transport="tcp") if kind == "ffmpeg" else GstreamerPlayer(lab, WATCH, transport="tcp", options=["tls-validation-flags=0"])
        wait_for(lambda: len(sessions(penstock)) == 2, f"the player's session\n{playing.process.text()[-1500:]}", 20)
        playing.process.wait(30)
        got, whole = playing.pictures(), type(playing).film(path) * 3
        assert len(got) > 30 and playing.sounds() > 20, (len(got), playing.sounds(), playing.process.text()[-2000:])
        assert any(got[20:] == whole[at:at + len(got) - 20] for at in range(len(whole))), f"{len(got)} pictures are not those that were pushed"
        wait_sessions(penstock, 1)
        assert handshakes(penstock) >= 2
        assert seen.count("tls.app_data") > 20 and seen.count("frame contains \"RTSP\"") == 0
        assert_ledger(penstock.metrics())


def test_versions():
    """1.2 and 1.3, with a chain that holds; not 1.1, nor another handshake within 1.2, nor other words; each is counted by name."""
    with Relay(1) as lab:
        authority(lab)
        files = issue(lab, "node", WAN[4])
        penstock = lab.start_penstock(lab.node, config(lab, "listen: [\":554\"], " + tls(lab, files)))
        question = "OPTIONS * RTSP/1.0\r\nCSeq: 7\r\n\r\n"
        last = question + "nonsense\r\n\r\n"  # at which the node ends the connection, and s_client itself: it waits for that
        for version in ("-tls1_2", "-tls1_3"):
            said = s_client(lab, version, "-quiet", words=last)
            assert "RTSP/1.0 200 OK" in said and "CSeq: 7" in said, said
        assert handshakes(penstock) == 2
        said = s_client(lab, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
        assert "New, (NONE)" in said and handshakes(penstock, "version") == 1, said
        s_client(lab, "-tls1_2", "-cipher", "AES128-GCM-SHA256")  # without forward secrecy
        assert handshakes(penstock, "cipher") == 1
        lab.receivers[0].run("timeout", "5", "openssl", "s_client", "-connect", f"{WAN[4]}:322", "-tls1_2", "-verify_return_error", check=False, input="")
        wait_for(lambda: handshakes(penstock, "refused") == 1, "one to refuse: it knows no authority")
        assert "RTSP/1.0" not in s_client(lab, "-tls1_2", "-legacy_renegotiation", words="R\n")
        plain = TcpClient(lab.receivers[0], port=322).send(question)
        assert plain.closed() and handshakes(penstock, "not_tls") == 1
        assert "RTSP/1.0 200" in s_client(lab, "-quiet", words=last)
        wait_for(lambda: penstock.metrics().sum("penstock_rtsp_connections") == 0, "all to be gone")


def test_reload():
    """A new certificate is for new connections, and a viewer goes on without a hole; one that is wrong changes nothing."""
    with Relay(1) as lab:
        trust = authority(lab)
        files = issue(lab, "first", WAN[4], into="node")
        other_key = issue(lab, "other", WAN[4])[1]
        penstock = lab.start_penstock(lab.node, config(lab, "listen: [\":554\"], " + tls(lab, files)))
        with Steady(lab) as steady:
            viewer = TlsClient(lab.receivers[0], trust)
            assert viewer.serial() == "first"
            viewer.setup("video")
            assert viewer.request("PLAY").status == 200
            viewer.take(50)
            before = penstock.metrics().sum("penstock_rtsp_certificate_expiry_timestamp_seconds")
            assert "certificate" not in penstock.cli("reload")  # the same
            issue(lab, "second", WAN[4], into="node", days=60)
            good_key = files[1].read_text()
            files[1].write_text(other_key.read_text())
            code, _, errors = penstock.cli_exit("reload")
            assert code != 0 and re.search(rf"{re.escape(str(penstock.config))}:\d+:\d+: .*is not the key of the certificate", errors), errors
            assert TlsClient(lab.receivers[0], trust).serial() == "first"
            files[1].write_text(good_key)
            assert f"certificate: {files[0]}, until" in penstock.cli("reload")
            after = penstock.metrics().sum("penstock_rtsp_certificate_expiry_timestamp_seconds")
            assert 29 * 86400 < after - before < 31 * 86400, (before, after)
            fresh = TlsClient(lab.receivers[0], trust)
            assert fresh.serial() == "second" and fresh.request("OPTIONS").status == 200
            viewer.take(50)
            assert viewer.request("GET_PARAMETER").status == 200
            fresh.tcp.close()
        assert watched(viewer, steady.sent)
        assert viewer.request("TEARDOWN").status == 200
        assert_ledger(penstock.metrics())


def test_slow():
    """Nor by TLS."""
    with Relay(2) as lab:
        trust = authority(lab)
        penstock = lab.start_penstock(lab.node, config(lab, tls(lab, issue(lab, "node", WAN[4]))))
        watch_slowly(lab, penstock, lambda *args, **options: TlsClient(args[0], trust, **options))


def test_pull():
    """From a camera by TLS: with the authority that vouches for it, and media by TCP; not without; and no password is seen."""
    with Relay(1) as lab:
        trust = authority(lab)
        authority(lab, "stranger")
        files = issue(lab, "camera", SOURCE[4])
        both = lab.file("camera-both.pem")
        both.write_text(files[0].read_text() + files[1].read_text())
        upstream = camera.start(lab.source, 8554, "eve", "open sesame", pem=both)
        url = f"url: \"rtsps://eve:open%20sesame@{SOURCE[4]}:8554/live\""
        penstock = lab.start_penstock(lab.node, pull_config(lab, {
            "gate": f"{url}, tls_ca: {trust}", "any": f"{url}, tls_verify: false, start: on_demand",
            "wrong": f"{url}, tls_ca: {lab.file('stranger.pem')}, start: on_demand", "system": f"{url}, start: on_demand"}))
        wait_media(penstock)
        row = source(penstock)
        assert (row["state"], row["transport"], row["failure"]) == ("playing", "tcp", None), row
        assert describe(lab, "any").status == 200
        for stream in ("wrong", "system"):
            assert describe(lab, stream).status == 503
            row = source(penstock, stream)
            assert row["failure"] == "tls" and "NOT trusted" in row["why"], row
        assert penstock.metrics().sum("penstock_rtsp_pull_failures_total", stream="wrong", reason="tls") >= 1
        penstock.cli("add", "stream", "hand", f"rtsps://eve:open%20sesame@{SOURCE[4]}:8554/live", f"tls_ca={trust}")
        wait_media(penstock, "hand")
        penstock.cli("del", "stream", "gate")
        upstream.wait_for_text("TEARDOWN")
        assert not any(secret in penstock.text() for secret in SECRETS)
        assert_ledger(penstock.metrics())

"""A source says by RTCP that it ends (RFC 3550 section 6.6): its viewers hear it, unless the track has another path that goes on."""
from cases import cases
from lab import wait_for
from media import VIDEO_PT
from relay import LAN, WAN, Relay, assert_ledger
from rtsp import config
from rtsp_multicast import gstreamer_pictures
from rtsp_play import sessions, wait_sessions

SSRC = 0x5eed
BYE = bytes([0x80, 201, 0, 1]) + SSRC.to_bytes(4, "big") + bytes([0x81, 203, 0, 1]) + SSRC.to_bytes(4, "big")


def source(lab, ports):
    """The same packets to each port."""
    to = [word for port in ports for word in ("t.", "!", "queue", "!", "udpsink", f"host={LAN[4]}", f"port={port}", "sync=false")]
    return lab.source.start(
        "gst-launch-1.0", *("videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=25/1 ! x264enc tune=zerolatency speed-preset=ultrafast "
                            f"key-int-max=12 ! rtph264pay pt={VIDEO_PT} ssrc={SSRC} config-interval=1 ! tee name=t").split(), *to)


def player(lab):
    return lab.receivers[0].start(
        "gst-launch-1.0", "-v", "rtspsrc", f"location=rtsp://{WAN[4]}/camera-1", "protocols=udp", "!", "application/x-rtp,media=video", "!",
        "rtph264depay", "!", "avdec_h264", "!", "checksumsink", log=lab.file("gst.log"))


@cases(paths=(1, 2))
def test_bye(paths):
    """GStreamer ends with the source; of a live-live track it goes on with the path that is left."""
    with Relay(1) as lab:
        ports = (20000, 20100)[:paths]
        text = config(lab).split("      - { media: audio")[0]
        text = text.replace(f"sources: [{{ rtp: \"{LAN[4]}:20000\" }}]", "sources: [" + ", ".join(f"{{ rtp: \"{LAN[4]}:{port}\" }}" for port in ports) + "]")
        penstock = lab.start_penstock(lab.node, text)
        source(lab, ports)
        wait_for(lambda: penstock.metrics().sum("penstock_path_packets_total") > 20 * paths, "media", 20)
        watching = player(lab)
        wait_for(lambda: gstreamer_pictures(lab) >= 25, f"pictures; {watching.text()[-800:]}", 20)
        lab.source.socket().sendto(BYE, (LAN[4], ports[-1] + 1))
        if paths == 1:
            # When it ends soon after its beginning it sometimes breaks off its own PAUSE, and calls that an error.
            code = watching.wait(10)
            assert "Got EOS" in watching.text(), watching.text()[-1500:]
            wait_sessions(penstock, 0)
            assert code or penstock.metrics().sum("penstock_rtsp_sessions_ended_total", reason="teardown") == 1
        else:
            wait_for(lambda: penstock.metrics().sum("penstock_path_rtcp_packets_total", path="2") == 1, "BYE")
            seen = gstreamer_pictures(lab)
            wait_for(lambda: gstreamer_pictures(lab) > seen + 50, "it to go on")
            assert watching.running() and len(sessions(penstock)) == 1
        assert_ledger(penstock.metrics())

"""Real programs at both ends: ffmpeg sends H.264 and AAC, ffmpeg and GStreamer play them, tshark counts."""
import time

from cases import cases
from judge import Capture, assert_no_loss
from lab import wait_for
from media import AUDIO_PT, VIDEO_PT, FfmpegReceiver, GstreamerReceiver, start_source
from relay import LAN, Relay, assert_ledger, endpoint, leg_packets, receiver_address, wait_legs

SECONDS = 4  # of media
GROUP = {4: "239.2.2.2", 6: "ff15::2:2"}


@cases(driver=("af_xdp", "af_packet"), family=(4, 6))
def test_unicast_and_multicast(driver, family):
    """One player by unicast, two in a multicast group: all decode, nothing is lost, every payload is what was sent."""
    with Relay(3, driver) as lab:
        unicast, group = receiver_address(1, family), GROUP[family]
        track = lambda kind, payload_type, encoding, port: (
            kind, payload_type, encoding, [endpoint(LAN[family], 20000 + port)],
            [endpoint(unicast, 6000 + port), f"{{ rtp: \"{endpoint(group, 7000 + port)}\", ttl: 16, port: wan }}"])
        penstock = lab.start_penstock(lab.node, lab.config([
            track("video", VIDEO_PT, "H264/90000", 0), track("audio", AUDIO_PT, "mpeg4-generic/48000", 2)]))
        wait_legs(penstock, 4)

        sent = Capture(lab.source, "eth0", "udp and not icmp6")
        heard = [Capture(receiver, "eth0") for receiver in lab.receivers]
        players = [FfmpegReceiver("ffmpeg-unicast", lab.receivers[0], unicast, 6000, 6002).start(),
                   FfmpegReceiver("ffmpeg-group", lab.receivers[1], group, 7000, 7002).start(),
                   GstreamerReceiver("gstreamer-group", lab.receivers[2], group, 7000, 7002).start()]
        for player in players:
            wait_for(player.ready, f"{player.name} to listen", 15)
        source = start_source(lab.source, LAN[family], 20000, 20002)
        wait_for(lambda: heard[0].file.exists() and leg_packets(penstock) > 0, "the first packet")
        time.sleep(SECONDS)
        source.stop()
        settled = [0, 1]
        wait_for(lambda: settled.append(leg_packets(penstock)) or settled[-1] == settled[-2], "the last packet", every=0.3)
        metrics = penstock.metrics()

        for player in players:
            problems = player.stop().verdict(pictures=20 * SECONDS, sounds=40 * SECONDS)
            assert not problems, f"{player.name}: {problems}"
        for capture, first in zip(heard, (6000, 7000, 7000)):
            assert_no_loss(capture, first, first + 2, packets=10 * SECONDS)  # of sound: twelve a second
            for port in (0, 2):
                originals = sent.payloads(20000 + port)
                assert originals and capture.payloads(first + port) == originals, f"payloads differ: {capture.file}"
                reports = sent.payloads(20001 + port)
                assert reports and capture.payloads(first + port + 1) == reports, "RTCP did not go alongside"
        for capture in heard:
            packets, bad = capture.bad_checksums()
            assert packets and not bad, f"{len(bad)} of {packets} checksums are wrong: {bad[:3]}"
        assert metrics.sum("penstock_path_lost_packets_total") == 0
        assert_ledger(metrics)

"""Packets that leave as one, which the kernel cuts: what arrives is what was sent, whether it is cut before the interface, as for a
NIC that cannot, or in the receiver's socket, behind a veth."""
import socket
import time

from cases import cases
from judge import Capture
from lab import wait_for
from media import VIDEO_PT, FfmpegReceiver, GstreamerReceiver, start_source
from relay import (LAN, Relay, assert_ledger, endpoint, leg_packets, receiver_address, rtp_packet, wait_forwarded,
                   wait_legs)

LEGS, PICTURES, PACKETS, SIZE, LAST = 16, 25, 17, 1200, 700
UDP_SEGMENT = 103
SO_RCVBUFFORCE = 33  # of Linux; the module socket has no name for it


def carry_whole(lab):
    """As a veth does unless it is told otherwise."""
    lab.node.run("ethtool", "-K", "wan0", "tx-udp-segmentation", "on", "tx", "on")


def counter(penstock, name):
    return sum(c["value"] for c in penstock.show("port xstats wan")["counters"] if c["counter"] == name)


class Listener:
    """An ordinary socket and all that it was given."""

    def __init__(self, namespace, address, port):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = namespace.socket(family, bind=(address, port))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.socket.setblocking(False)
        self.heard = []

    def drain(self):
        try:
            while True:
                self.heard.append(self.socket.recv(65536).hex())
        except BlockingIOError:
            return self.heard


def send_pictures(namespace, destination):
    """As an encoder does, all packets of a picture at once: of one size, but the last."""
    sender = namespace.socket(socket.AF_INET6 if ":" in destination else socket.AF_INET)
    sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 12 + SIZE)
    sent, sequence = [], 1000
    for picture in range(PICTURES):
        packets = [rtp_packet(sequence + i, bytes((sequence + i + j) & 0xff for j in range(LAST if i == PACKETS - 1 else SIZE)),
                              timestamp=3600 * picture, marker=i == PACKETS - 1) for i in range(PACKETS)]
        sequence += PACKETS
        sender.sendto(b"".join(packets), (destination, 20000))
        sent += [packet.hex() for packet in packets]
        time.sleep(0.02)
    return sent


@cases(family=(4, 6), whole=(False, True))
def test_pictures(family, whole):
    """Sixteen receivers, by the default: sockets get the packets that were sent, in order; tshark sees each, with a right checksum."""
    with Relay(2) as lab:
        if whole:
            carry_whole(lab)
        targets = [(number % 2, receiver_address(number % 2 + 1, family), 6000 + 2 * number) for number in range(LEGS)]
        penstock = lab.relay([endpoint(LAN[family], 20000)], [endpoint(address, port) for _, address, port in targets])
        assert penstock.show("port info wan")["ports"][0]["segmentation"] == "tracks with 16 receivers and more"
        listeners = [Listener(lab.receivers[which], address, port) for which, address, port in targets]
        captures = [] if whole else [Capture(receiver, "eth0") for receiver in lab.receivers]
        sent = send_pictures(lab.source, LAN[family])
        wait_forwarded(penstock, len(sent) * LEGS)
        for listener in listeners:
            wait_for(lambda: len(listener.drain()) >= len(sent), "the last packet")
            assert listener.heard == sent
        assert counter(penstock, "tx_socket_trains") >= LEGS, "nothing left as one: this test shows nothing"
        assert counter(penstock, "tx_socket_refused") == 0
        assert counter(penstock, "tx_good_packets") >= len(sent) * LEGS
        for which, capture in enumerate(captures):
            packets, bad = capture.bad_checksums()
            assert packets >= len(sent) * LEGS // 2 and not bad, f"{len(bad)} of {packets} are wrong: {bad[:5]}"
            for receiver, _, port in targets:
                assert receiver != which or capture.payloads(port) == sent, port
        assert_ledger(penstock.metrics())


@cases(segmentation=("auto", "off"))
def test_few_receivers(segmentation):
    """What few receive leaves packet by packet, and all does where segmentation is off."""
    with Relay(1) as lab:
        legs = 15 if segmentation == "auto" else LEGS
        penstock = lab.relay([endpoint(LAN[4], 20000)], [endpoint(receiver_address(1), 6000 + 2 * n) for n in range(legs)],
                             ports=lab.ports(segmentation=segmentation))
        sent = send_pictures(lab.source, LAN[4])
        wait_forwarded(penstock, len(sent) * legs)
        assert counter(penstock, "tx_socket_packets") == 0


def test_players():
    """ffmpeg and GStreamer play what comes to them as trains, and miss nothing."""
    with Relay(2) as lab:
        carry_whole(lab)
        penstock = lab.start_penstock(lab.node, lab.config(
            [(kind, payload_type, encoding, [endpoint(LAN[4], 20000 + port)],
              [endpoint(receiver_address(n), 6000 + port) for n in (1, 2)])
             for kind, payload_type, encoding, port in (("video", VIDEO_PT, "H264/90000", 0), ("audio", 97, "mpeg4-generic/48000", 2))],
            ports=lab.ports(segmentation="on")))
        wait_legs(penstock, 4)
        players = [FfmpegReceiver("ffmpeg", lab.receivers[0], receiver_address(1), 6000, 6002).start(),
                   GstreamerReceiver("gstreamer", lab.receivers[1], receiver_address(2), 6000, 6002).start()]
        for player in players:
            wait_for(player.ready, f"{player.name} to listen", 15)
        source = start_source(lab.source, LAN[4], 20000, 20002)
        wait_for(lambda: leg_packets(penstock) > 0, "the first packet", 15)
        time.sleep(3)
        source.stop()
        for player in players:
            problems = player.stop().verdict(pictures=60, sounds=120)
            assert not problems, f"{player.name}: {problems}"
        assert counter(penstock, "tx_socket_trains") > 0, "nothing left as one: this test shows nothing"
        assert_ledger(penstock.metrics())

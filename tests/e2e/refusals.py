"""What must not pass: each kind is refused by its own name, nothing of it leaves, and the ledger balances."""
from cases import cases
from judge import Capture
from lab import wait_for
from relay import LAN, SOURCE, WAN, Relay, assert_ledger, endpoint, receiver_address, rtp_packet, wait_forwarded


def kinds(link):
    """{reason: frames that are refused for it}, of a different number each."""
    from scapy.all import IP, UDP, IPv6, Raw, fragment
    ip, ip6 = IP(src=SOURCE[4], dst=LAN[4]), IPv6(src=SOURCE[6], dst=LAN[6])
    udp = lambda port=20000: UDP(sport=4000, dport=port)
    media = lambda payload, port=20000: bytes(link / ip / udp(port) / Raw(payload))
    good = rtp_packet(1, bytes(160))
    whole = media(good)

    truncated = whole[:-40]                                   # IP says there is more than there is
    wrong_sum = bytearray(whole)
    wrong_sum[24] ^= 0xff                                     # of the IPv4 header
    wrong_length = bytes(link / ip / UDP(sport=4000, dport=20000, len=8 + len(good) + 30) / Raw(good))
    with_extension = bytes([0x90]) + good[1:12] + bytes([0xbe, 0xde, 0x7f, 0xff]) + bytes(20)
    with_padding = bytes([0xa0]) + good[1:-1] + bytes([255])
    return {
        "stun": [media(bytes([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]) + bytes(12))] * 3,
        "zrtp": [media(bytes([0x10, 0]) + b"ZRTP" + bytes(20))] * 4,
        "dtls": [media(bytes([22, 0xfe, 0xfd]) + bytes(30))] * 5,
        "turn_channel": [media(bytes([0x40, 0, 0, 8]) + bytes(8))] * 6,
        "not_rtp": [media(bytes([0x60]) + good[1:])] * 3 + [media(bytes([0xff]) * 50)] * 4,  # RTP version 1; noise
        "rtp_runt": [media(good[:11])] * 4 + [media(bytes([0x8f]) + good[1:20])] * 2 + [media(with_extension)] * 2,
        "rtp_padding": [media(with_padding)] * 9,
        "rtp_payload_type": [media(rtp_packet(1, bytes(50), payload_type=33))] * 10,
        "rtcp_invalid": [media(bytes([0x80, 200, 0, 40]) + bytes(24), 20001)] * 11,
        "udp_length": [wrong_length] * 12,
        "ip_checksum": [bytes(wrong_sum)] * 13,
        "ip_header": [truncated] * 14,
        "runt": [whole[:14 + 19]] * 18,
        "no_flow": [media(good, 20500)] * 15,
        "udp_checksum_zero": [bytes(link / ip6 / UDP(sport=4000, dport=20000, chksum=0) / Raw(good))] * 16,
        "fragment": [bytes(link / part) for part in fragment(ip / udp() / Raw(bytes(1000)), 400)[:1]] * 17,
    }


@cases(driver=("af_xdp", "af_packet"))
def test_refused_by_name(driver):
    from scapy.all import Ether
    with Relay(1, driver) as lab:
        link = Ether(src=lab.source.mac("eth0"), dst=lab.node.mac("lan0"))
        penstock = lab.relay([endpoint(LAN[4], 20000)], [endpoint(receiver_address(1), 6000)])
        heard = Capture(lab.receivers[0], "eth0")
        before = penstock.metrics().drops()
        wire = lab.source.raw("eth0")
        wanted = kinds(link)
        for frames in wanted.values():
            for frame in frames:
                wire.send(frame)
        counts = lambda: {reason: penstock.metrics().drops().get(reason, 0) - before.get(reason, 0) for reason in wanted}
        expected = {reason: len(frames) for reason, frames in wanted.items()}
        if driver == "af_xdp":  # the XDP program fails open: what it cannot read to the end stays with the kernel
            expected |= {"ip_header": 0, "runt": 0, "udp_length": 0}
        else:  # the driver has the kernel put fragments together first (PACKET_FANOUT_FLAG_DEFRAG); these lack a part
            expected |= {"fragment": 0}
        try:
            wait_for(lambda: counts() == expected, "every kind to be counted")
        except AssertionError:
            have = counts()
            raise AssertionError("reason: (counted, expected): " + str(
                {reason: (have[reason], number) for reason, number in expected.items() if have[reason] != number})) from None
        # And it still works: the good packet goes through, alone.
        from scapy.all import IP, UDP
        good = rtp_packet(77, b"still here")
        wire.send(bytes(link / IP(src=SOURCE[4], dst=LAN[4]) / UDP(sport=4000, dport=20000) / good))
        wait_forwarded(penstock, 1)
        assert heard.payloads(6000) == [good.hex()]
        assert heard.count(f"ip.src=={WAN[4]} && udp") == 1
        assert_ledger(penstock.metrics())


@cases(driver=("af_xdp", "af_packet"))
def test_noise(driver):
    """Five thousand frames of noise among media: penstock stays up, media passes, everything is accounted for."""
    import random
    from scapy.all import IP, UDP, Ether, IPv6, Raw
    dice = random.Random(7)
    with Relay(1, driver) as lab:
        link = Ether(src=lab.source.mac("eth0"), dst=lab.node.mac("lan0"))
        penstock = lab.relay([endpoint(LAN[4], 20000), ], [endpoint(receiver_address(1), 6000)])
        heard = Capture(lab.receivers[0], "eth0")
        wire = lab.source.raw("eth0")
        header, header6 = (bytes(link / ip / UDP(sport=4000, dport=20000) / Raw(bytes(100)))
                           for ip in (IP(src=SOURCE[4], dst=LAN[4]), IPv6(src=SOURCE[6], dst=LAN[6])))
        sent = []
        for number in range(1000):
            for template in (header, header6):
                frame = bytearray(template)
                for _ in range(dice.randint(1, 6)):  # damage anywhere but in the addresses of the link
                    frame[dice.randrange(12, len(frame))] = dice.randrange(256)
                wire.send(bytes(frame[:dice.randint(14, len(frame))]))
                wire.send(bytes(link)[:12] + bytes(dice.randrange(256) for _ in range(dice.randint(2, 200))))
            good = rtp_packet(1000 + number, b"good")
            wire.send(bytes(link / IP(src=SOURCE[4], dst=LAN[4]) / UDP(sport=4000, dport=20000) / good))
            sent.append(good.hex())
        wait_for(lambda: set(sent) <= set(Capture.payloads(_again(heard), 6000)), "every good packet to pass", every=1)
        assert penstock.running()
        assert_ledger(penstock.metrics())


def _again(capture):
    """Reads what a running capture has so far."""
    class SoFar(Capture):
        def __init__(self):
            self.file = capture.file

        def stop(self):
            return self
    return SoFar()

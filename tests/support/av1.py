"""AV1 over RTP for tests (AOMedia, "RTP Payload Format For AV1" 1.0): this machine's players cannot pack it nor unpack it, but ffmpeg
encodes and decodes the bitstream. A stream is a list of temporal units, each a list of OBUs without size fields."""
import random

SEQUENCE_HEADER, TEMPORAL_DELIMITER, TILE_LIST, PADDING = 1, 2, 8, 15
FIRST_OF_SEQUENCE, CONTINUES, CONTINUED = 0x08, 0x80, 0x40  # N, Z and Y of the aggregation header
CLOCK = 90000


def leb128(value):
    out = bytearray()
    while True:
        out.append(value & 0x7f | (0x80 if value > 0x7f else 0))
        value >>= 7
        if not value:
            return bytes(out)


def read_leb128(data, at):
    """The value and where it ends."""
    value = 0
    for i in range(8):
        value |= (data[at + i] & 0x7f) << 7 * i
        if not data[at + i] & 0x80:
            return value, at + i + 1
    raise ValueError("no leb128")


def kind(obu):
    return obu[0] >> 3 & 15


def temporal_units(stream):
    """Of a file of ffmpeg's `-f obu`."""
    units, at = [], 0
    while at < len(stream):
        header = stream[at:at + (2 if stream[at] & 4 else 1)]
        assert header[0] & 2, "an OBU without its size"
        size, begin = read_leb128(stream, at + len(header))
        at = begin + size
        if kind(header) == TEMPORAL_DELIMITER:
            units.append([])
        elif kind(header) not in (TILE_LIST, PADDING):
            units[-1].append(bytes([header[0] & ~2]) + header[1:] + stream[begin:at])
    return units


def begins_sequence(unit):
    return any(kind(obu) == SEQUENCE_HEADER for obu in unit)


def bitstream(units):
    """What a decoder takes."""
    out = bytearray()
    for unit in units:
        out += bytes([TEMPORAL_DELIMITER << 3 | 2, 0])
        for obu in unit:
            header = 2 if obu[0] & 4 else 1
            out += bytes([obu[0] | 2]) + obu[1:header] + leb128(len(obu) - header) + obu[header:]
    return bytes(out)


def payloads(unit, largest=1100):
    """RTP payloads of one temporal unit: elements with lengths (W = 0), cut where a packet is full."""
    all_, body, flags = [], bytearray(), FIRST_OF_SEQUENCE if begins_sequence(unit) else 0
    for obu in unit:
        rest = obu
        while rest:
            room = largest - 1 - len(body) - 2
            if room <= 0:
                all_.append(bytes([flags]) + bytes(body))
                body, flags = bytearray(), 0
                continue
            piece, rest = rest[:room], rest[room:]
            body += leb128(len(piece)) + piece
            if rest:
                all_.append(bytes([flags | CONTINUED]) + bytes(body))
                body, flags = bytearray(), CONTINUES
    all_.append(bytes([flags]) + bytes(body))
    return all_


class Payloader:
    def __init__(self, payload_type, rate):
        self.payload_type, self.rate = payload_type, rate
        self.sequence, self.timestamp, self.ssrc = random.getrandbits(16), random.getrandbits(32), random.getrandbits(32)

    def packets(self, unit):
        parts = payloads(unit)
        out = []
        for part in parts:
            marker = 0x80 if part is parts[-1] else 0
            out.append(bytes([0x80, marker | self.payload_type]) + self.sequence.to_bytes(2, "big") + self.timestamp.to_bytes(4, "big")
                       + self.ssrc.to_bytes(4, "big") + part)
            self.sequence = (self.sequence + 1) % 65536
        self.timestamp = (self.timestamp + CLOCK // self.rate) % 2 ** 32
        return out


def elements(payload):
    """Of one packet: (piece of an OBU, goes on from the packet before, goes on in the next one)."""
    head, at, all_ = payload[0], 1, []
    count = head >> 4 & 3
    while at < len(payload):
        if count and len(all_) == count - 1:  # the last of W has no length
            size = len(payload) - at
        else:
            size, at = read_leb128(payload, at)
        all_.append(payload[at:at + size])
        at += size
    return [(piece, bool(head & CONTINUES) and i == 0, bool(head & CONTINUED) and i == len(all_) - 1) for i, piece in enumerate(all_)]


def depayload(packets):
    """Temporal units of RTP packets that come without a gap, the last one only if it is whole; and whether the first packet
    begins a coded video sequence."""
    units, unit, obu = [], [], b""
    numbers = [int.from_bytes(packet[2:4], "big") for packet in packets]
    assert all((b - a) % 65536 == 1 for a, b in zip(numbers, numbers[1:])), f"a gap in {numbers}"
    for packet in packets:
        for piece, from_before, goes_on in elements(packet[12:]):
            assert from_before == bool(obu), "a piece without its beginning"
            obu += piece
            if not goes_on:
                unit.append(obu)
                obu = b""
        if packet[1] & 0x80:
            units.append(unit)
            unit = []
    return units, bool(packets[0][12] & FIRST_OF_SEQUENCE)

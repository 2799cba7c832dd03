"""What was on the wire, as programs that are not ours see it: tcpdump captures, tshark counts and verifies."""
import re
import signal
from collections import namedtuple

from lab import run, wait_for

# The last three: what tshark says of the UDP and IP checksums, and the UDP checksum.
Datagram = namedtuple("Datagram", "sender to port vlan payload udp ip checksum")
RtpStream = namedtuple("RtpStream", "source destination port ssrc packets lost")


class Capture:
    """tcpdump on one interface of a namespace. Started when the constructor returns; reading it stops it."""

    datagrams = None  # read once: to start tshark takes longer than what it does

    def __init__(self, namespace, interface, what="udp or (vlan and udp)", bytes_each=4096):
        # The kernel's ring has as many frames as go into the buffer at this size each: whole ones of 256 KiB would be 128.
        lab = namespace.lab
        self.file = lab.file(f"{namespace.short}-{interface}-{len(list(lab.directory.glob('*.pcap')))}.pcap")
        self.process = namespace.start(
            "tcpdump", "-Z", "root", "-n", "-U", "--immediate-mode", "-B", "32768", "-s", str(bytes_each), "-i", interface,
            "-w", self.file, what, log=self.file.with_suffix(".log"))
        self.process.wait_for_text("listening on")
        self.strange = self._strange(self._counts())

    @staticmethod
    def _strange(counts):
        """What came before the kernel knew what is wanted is counted by it, and left out by tcpdump."""
        captured, received, _ = counts
        return received - captured

    def stop(self):
        if self.process.running():
            # tcpdump forgets what it has not read when it is told to stop: let it come to the end first, and the kernel to its own.
            counts = [None]

            def at_the_end():
                counts.append(self._counts())
                self.strange = min(self.strange, self._strange(counts[-1]))
                return self._strange(counts[-1]) == self.strange and counts[-1] == counts[-2]
            wait_for(at_the_end, f"{self.file.name} to have all that came, and no more to come", 20, every=0.1)
            self.process.stop(signal.SIGINT)
            assert counts[-1][2] == 0, f"the capture itself lost packets:\n{self.process.text()}"
        return self

    def _counts(self):
        """Packets that tcpdump has written, that the kernel had for it, and that it could not keep for it: tcpdump's own words."""
        words = re.compile(r"tcpdump: (\d+) packets? captured, (\d+) packets? received by filter, (\d+) packets? dropped by kernel\n")
        before = len(words.findall(self.process.text()))
        self.process.child.send_signal(signal.SIGUSR1)
        told = wait_for(lambda: words.findall(self.process.text())[before:], "tcpdump to tell how far it is", 20, every=0.005)
        return [int(number) for number in told[-1]]

    def fields(self, display_filter, *names, options=()):
        """One tuple of tshark's fields for each packet that passes the filter."""
        self.stop()
        wanted = [word for name in names for word in ("-e", name)]
        lines = run("tshark", "-n", "-r", self.file, *options, "-Y", display_filter, "-T", "fields", "-E", "occurrence=f", *wanted)
        return [tuple(line.split("\t")) for line in lines.splitlines()]

    def count(self, display_filter):
        return len(self.fields(display_filter, "frame.number"))

    def payloads(self, port, **where):
        """The UDP payloads sent to a port, in order, as hexadecimal text; `to`, `sender` and `vlan` ("": untagged) narrow it."""
        return [datagram.payload for datagram in self._udp()
                if datagram.port == port and all(getattr(datagram, key) == value for key, value in where.items())]

    def _udp(self):
        if self.datagrams is None:
            self.datagrams = [Datagram(row[0] or row[1], row[2] or row[3], int(row[4]), *row[5:]) for row in self.fields(
                "udp", "ip.src", "ipv6.src", "ip.dst", "ipv6.dst", "udp.dstport", "vlan.id", "udp.payload",
                "udp.checksum.status", "ip.checksum.status", "udp.checksum",
                options=("-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"))]
        return self.datagrams

    def rtp_streams(self, *ports):
        """tshark's own accounting of RTP: -z rtp,streams."""
        self.stop()
        decode = [word for port in ports for word in ("-d", f"udp.port=={port},rtp")]
        table = run("tshark", "-n", "-r", self.file, *decode, "-q", "-z", "rtp,streams")
        row = re.compile(r"\s*[\d.]+\s+[\d.]+\s+(\S+)\s+\d+\s+(\S+)\s+(\d+)\s+(0x[0-9A-F]+)\s+.*?\s(\d+)\s+(-?\d+) \(-?[\d.]+%\)")
        found = [row.match(line) for line in table.splitlines()]
        return [RtpStream(m[1], m[2], int(m[3]), int(m[4], 16), int(m[5]), int(m[6])) for m in found if m]

    def bad_checksums(self):
        """(all UDP packets, those whose IP or UDP checksum is wrong or missing): tshark adds them up anew."""
        rows = [(datagram.udp, datagram.ip, datagram.checksum, str(datagram.port)) for datagram in self._udp()]
        return len(rows), [row for row in rows if row[0] != "1" or row[1] not in ("1", "")]


def assert_no_loss(capture, *ports, packets=1):
    """tshark saw every one of these RTP streams, with at least so many packets and none lost."""
    streams = capture.rtp_streams(*ports)
    for port in ports:
        mine = [stream for stream in streams if stream.port == port]
        assert mine, f"no RTP for port {port} in {capture.file.name}; there is {streams}"
        for stream in mine:
            assert stream.lost == 0 and stream.packets >= packets, f"wanted >= {packets} packets and no loss: {stream}"
    return streams

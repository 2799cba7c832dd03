"""An RTSP client of few words, for what real players cannot be made to say, and the configuration of an RTSP node."""
import re
import socket

from relay import LAN, WAN, endpoint
from media import AAC_FMTP, AUDIO_PT, VIDEO_PT


def config(lab, rtsp="listen: [\":554\"]", outputs="", media="20000-29999"):
    """camera-1 with video and audio, and RTSP."""
    def track(kind, payload_type, encoding, fmtp, port):
        return (f"      - {{ media: {kind}, payload_type: {payload_type}, encoding: {encoding}, fmtp: \"{fmtp}\",\n"
                f"          sources: [{{ rtp: \"{endpoint(LAN[4], port)}\" }}], outputs: [{outputs}] }}\n")
    return (f"node: {lab.name}\nworkers: {{ idle: sleep }}\nmemory: {{ mbufs: 16384 }}\nmedia: {{ ports: {media} }}\n"
            f"rtsp: {{ {rtsp} }}\nports:\n{lab.ports()}streams:\n  - name: camera-1\n    tracks:\n"
            + track("video", VIDEO_PT, "H264/90000", "packetization-mode=1", 20000)
            + track("audio", AUDIO_PT, "MPEG4-GENERIC/48000/1", AAC_FMTP, 20002))


class Reply:
    def __init__(self, head, body):
        lines = head.split("\r\n")
        self.status = int(lines[0].split()[1])
        self.version = lines[0].split()[0]
        self.headers = dict((name.lower(), value.strip()) for name, value in (line.split(":", 1) for line in lines[1:] if line))
        self.body = body

    def __getitem__(self, name):
        return self.headers[name.lower()]


class Client:
    """One connection from a namespace, and the UDP sockets of the tracks that it set up."""

    def __init__(self, namespace, host=WAN[4], port=554, name="camera-1"):
        self.namespace, self.host = namespace, host
        self.url = f"rtsp://{endpoint(host, port)}/{name}"
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with namespace.entered():
            self.tcp = socket.socket(family, socket.SOCK_STREAM)
        self.tcp.settimeout(5)
        namespace.lab.on_close(self.tcp.close)
        self.tcp.connect((host, port))
        self.bytes = b""
        self.sequence = 0
        self.session = None
        self.sockets = {}      # by track: (RTP, RTCP)
        self.server_ports = {}  # by track: (RTP, RTCP)

    def send(self, data):
        self.tcp.sendall(data if isinstance(data, bytes) else data.encode())
        return self

    def reply(self):
        while b"\r\n\r\n" not in self.bytes:
            self._more()
        head, self.bytes = self.bytes.split(b"\r\n\r\n", 1)
        size = re.search(rb"(?i)content-length: *(\d+)", head)
        while size and len(self.bytes) < int(size.group(1)):
            self._more()
        body, self.bytes = (self.bytes[:int(size.group(1))], self.bytes[int(size.group(1)):]) if size else (b"", self.bytes)
        return Reply(head.decode(), body.decode())

    def _more(self):
        more = self.tcp.recv(65536)
        if not more:
            raise EOFError(f"the connection was closed; left: {self.bytes}")
        self.bytes += more

    def closed(self):
        """Whether the node ends the connection, whatever it says before."""
        try:
            while self.tcp.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True

    def request(self, method, url=None, body="", **headers):
        self.sequence += 1
        lines = [f"{method} {url or self.url} RTSP/1.0", f"CSeq: {self.sequence}"]
        if self.session and "Session" not in headers:
            lines.append(f"Session: {self.session}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return self.send("\r\n".join(lines) + "\r\n\r\n" + body).reply()

    def setup(self, track, transport="RTP/AVP;unicast;client_port={}-{}"):
        if track not in self.sockets:
            self.sockets[track] = self._pair()
        ports = [opened.getsockname()[1] for opened in self.sockets[track]]
        reply = self.request("SETUP", f"{self.url}/{track}" if track else None, Transport=transport.format(*ports))
        if reply.status == 200:
            self.session = reply["Session"].split(";")[0]
            first, second = re.search(r"server_port=(\d+)-(\d+)", reply["Transport"]).groups()
            self.server_ports[track] = (int(first), int(second))
        return reply

    def _pair(self):
        family = self.tcp.family
        for port in range(30000 + 2 * (id(self) % 1000), 60000, 2):
            try:
                return [self.namespace.socket(family, bind=("::" if family == socket.AF_INET6 else "0.0.0.0", port + i)) for i in (0, 1)]
            except OSError:
                continue
        raise AssertionError("no free pair of UDP ports")

    def packet(self, track, seconds=3, rtcp=False):
        """The next packet of the track: its bytes and where it came from."""
        opened = self.sockets[track][1 if rtcp else 0]
        opened.settimeout(seconds)
        return opened.recvfrom(2000)

    def silent(self, track):
        """Nothing comes for the track for a moment, apart from what is waiting."""
        opened = self.sockets[track][0]
        self.drain(track)
        opened.settimeout(0.3)
        try:
            opened.recv(2000)
            return False
        except socket.timeout:
            return True

    def drain(self, track):
        opened = self.sockets[track][0]
        opened.setblocking(False)
        try:
            while True:
                opened.recv(2000)
        except BlockingIOError:
            return self

    def report(self, track, lost=0):
        """An RTCP receiver report to the node."""
        report = bytes([0x81, 201, 0, 7]) + b"\0\0\0\x07" + b"\0\0\x5e\xed" + lost.to_bytes(4, "big") + bytes(16)
        self.sockets[track][1].sendto(report, (self.host, self.server_ports[track][1]))


class TcpClient(Client):
    """Watches over the connection itself: frames and answers are told apart, and a torn one is an error."""

    def __init__(self, *args, receive_buffer=None, **kwargs):
        super().__init__(*args, **kwargs)
        if receive_buffer:
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.frames = []    # (channel, packet) that came, in their order
        self.channels = {}  # by track: (RTP, RTCP)

    def setup(self, track, transport="RTP/AVP/TCP;unicast;interleaved=0-1"):
        reply = self.request("SETUP", f"{self.url}/{track}", Transport=transport)
        if reply.status == 200:
            self.session = reply["Session"].split(";")[0]
            self.channels[track] = tuple(map(int, re.search(r"interleaved=(\d+)-(\d+)", reply["Transport"]).groups()))
        return reply

    def reply(self):
        while not self._frame():
            pass
        return super().reply()

    def _frame(self):
        """Takes one frame; whether there is something else in front."""
        while len(self.bytes) < 4:
            self._more()
        if self.bytes[:1] != b"$":
            assert self.bytes.startswith(b"RTSP"), f"neither a frame nor an answer: {self.bytes[:40]}"
            return True
        size = 4 + int.from_bytes(self.bytes[2:4], "big")
        while len(self.bytes) < size:
            self._more()
        self.frames.append((self.bytes[1], self.bytes[4:size]))
        self.bytes = self.bytes[size:]
        return False

    def take(self, count, channel=None):
        """The next `count` packets of a channel."""
        before = sum(1 for c, _ in self.frames if channel in (None, c))
        while sum(1 for c, _ in self.frames if channel in (None, c)) < before + count:
            assert not self._frame(), f"an answer that nobody asked for: {self.bytes[:60]}"
        return [packet for c, packet in self.frames if channel in (None, c)][before:before + count]

    def silent(self, *_):
        """Nothing comes for a moment."""
        if self.bytes:
            return False
        self.tcp.settimeout(0.3)
        try:
            return not self.tcp.recv(1)
        except socket.timeout:
            return True
        finally:
            self.tcp.settimeout(5)

    def frame(self, channel, packet):
        return self.send(b"$" + bytes([channel]) + len(packet).to_bytes(2, "big") + packet)

    def report(self, track, lost=0):
        return self.frame(self.channels[track][1], bytes([0x81, 201, 0, 7]) + b"\0\0\0\x07" + b"\0\0\x5e\xed" + lost.to_bytes(4, "big") + bytes(16))

"""rtpengine as a relay of one RTP stream, in userspace, told what to do by its ng protocol: a cookie and a bencoded dictionary
in a UDP datagram, either way."""
import itertools
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from lab import wait_for

PROGRAM = "rtpengine"
CONTROL = "127.0.0.1", 2223
CALL, SOURCE = "penstock-bench", "source"


def encode(value):
    if isinstance(value, dict):
        return b"d" + b"".join(encode(key) + encode(value[key]) for key in sorted(value)) + b"e"
    if isinstance(value, list):
        return b"l" + b"".join(map(encode, value)) + b"e"
    if isinstance(value, int):
        return b"i%de" % value
    value = value if isinstance(value, bytes) else value.encode()
    return b"%d:%s" % (len(value), value)


def decode(data, at=0):
    """(the value that begins there, where the next one begins); texts as str."""
    kind = data[at:at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1:end]), end + 1
    if kind in b"ld":
        items, at = [], at + 1
        while data[at:at + 1] != b"e":
            item, at = decode(data, at)
            items.append(item)
        return (items if kind == b"l" else dict(zip(items[::2], items[1::2]))), at + 1
    colon = data.index(b":", at)
    end = colon + 1 + int(data[at:colon])
    return data[colon + 1:end].decode(errors="replace"), end


def sdp(address, port, direction):
    return (f"v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\na={direction}\r\n")  # it publishes no video


class Rtpengine:
    """Running in a namespace of lab.Lab, on one core. `port`: where the source sends to."""

    def __init__(self, node, core, own, out, source, receivers):
        """`own` and `out`: the node's addresses towards the source and the receivers; those as (address, port)."""
        self.line = node.socket()
        self.line.settimeout(1)
        self.cookies = itertools.count(1)
        self.process = node.start("taskset", "-c", core, PROGRAM, "--foreground", "--log-stderr", "--log-level=4", "--table=-1",
                                  f"--interface=in/{own}", f"--interface=out/{out}", f"--listen-ng={CONTROL[0]}:{CONTROL[1]}",
                                  "--port-min=30000", "--port-max=31000", "--num-threads=1", "--delete-delay=0",
                                  log=node.lab.file("rtpengine.log"))
        wait_for(self._answers, "rtpengine to answer", 10)
        answer = self.ask(command="publish", sdp=sdp(*source, "sendonly"), interface="in", **{"from-tag": SOURCE})
        self.port = int(re.search(r"m=audio (\d+)", answer["sdp"])[1])
        for number, receiver in enumerate(receivers):
            tag = f"receiver-{number}"
            self.ask(command="subscribe request", interface="out", **{"from-tag": SOURCE, "to-tag": tag})
            self.ask(command="subscribe answer", sdp=sdp(*receiver, "recvonly"), **{"from-tag": SOURCE, "to-tag": tag})

    def _answers(self):
        assert self.process.running(), f"rtpengine ended\n{self.process.text()[-2000:]}"
        try:
            return self.ask(command="ping")["result"] == "pong"
        except OSError:
            return False

    def ask(self, **what):
        if what["command"] != "ping":
            what["call-id"] = CALL
        cookie = f"penstock{next(self.cookies)}"
        self.line.sendto(f"{cookie} ".encode() + encode(what), CONTROL)
        while True:
            said, _, answer = self.line.recv(65536).partition(b" ")
            if said.decode() != cookie:
                continue
            answer = decode(answer)[0]
            assert answer["result"] in ("ok", "pong"), f"{what['command']}: {answer}"
            return answer

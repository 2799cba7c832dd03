"""A forwarder that runs under steady traffic, for tests that change it or watch it under way."""
import threading
import time

from lab import wait_for
from relay import LAN, Sender, endpoint, receiver_address, wait_legs

RATE = 1000  # packets a second


class Steady:
    """A sender that does not pause while the forwarder is changed."""

    def __init__(self, lab, port=20000, ssrc=0x5eed):
        self.sender = Sender(lab.source, LAN[4], port, ssrc=ssrc)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._ending.is_set():
            self.sender.send(10, per_second=RATE)

    def __enter__(self):
        self._thread.start()
        wait_for(lambda: len(self.sent) > 50, "the sender to be under way")
        return self

    def __exit__(self, *_):
        self._ending.set()
        self._thread.join()

    @property
    def sent(self):
        return self.sender.sent

    def go_on(self, seconds=0.3):
        """Until so much more was sent: what happened before has had its effect."""
        wanted = len(self.sent) + seconds * RATE
        wait_for(lambda: len(self.sent) >= wanted, "the sender to go on", seconds * 5 + 5)


def stream(name, port, *outputs, source=LAN[4]):
    """An entry of `streams`."""
    return "\n".join([f"  - name: {name}", "    tracks:",
                      "      - media: video", "        payload_type: 96", "        encoding: H264/90000",
                      f"        sources: [{{ rtp: \"{endpoint(source, port)}\" }}]",
                      f"        outputs: [{', '.join(f'{{ rtp: {output} }}' for output in outputs)}]", ""])


def config(lab, *streams):
    head = lab.config([]).split("streams:")[0]
    return head + "streams:\n" + "".join(streams)


def start(lab, *streams):
    penstock = lab.start_penstock(lab.node, config(lab, *streams))
    wait_legs(penstock, sum(text.count("{ rtp: 10.") for text in streams))
    return penstock


def leg(number, port=6000):
    return endpoint(receiver_address(number), port)


def listener(lab, number, port=6000):
    opened = lab.receivers[number - 1].socket(bind=(receiver_address(number), port))
    opened.settimeout(1)
    return opened


def wait_silence(opened, seconds=3):
    """Until nothing came for 0.3 s."""
    opened.settimeout(0.3)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            opened.recv(2000)
        except TimeoutError:
            return
    raise AssertionError(f"packets still come after {seconds} s")

"""The judges judged: what tests/support looks at the wire with must not fail a test, nor pass it, by being late."""
import signal
import threading

from judge import Capture
from lab import Lab
from relay import Sender

PORT = 5004


def test_captures_have_all_that_came():
    """tcpdump that gets no core while packets come, nor for a while after: reading the capture waits for it, and not for what the
    kernel counted before it knew what is wanted."""
    with Lab() as lab:
        here, there = lab.namespace("here"), lab.namespace("there")
        lab.veth(here, "eth0", there, "eth0")
        here.ip("address", "add", "10.1.0.1/24", "dev", "eth0")
        there.ip("address", "add", "10.1.0.2/24", "dev", "eth0")
        here.start("ping", "-f", "-l", "20", "10.1.0.2")  # not wanted
        captures = [Capture(there, "eth0", "udp") for _ in range(4)]
        sender = Sender(here, "10.1.0.2", PORT).send(5)  # who has no neighbour yet keeps few packets for it

        def signal_all(what):
            for heard in captures:
                heard.process.child.send_signal(what)
        signal_all(signal.SIGSTOP)
        sender.send(20)
        later = threading.Timer(0.5, signal_all, [signal.SIGCONT])
        later.start()
        try:
            for heard in captures:
                assert heard.payloads(PORT) == sender.sent
        finally:
            later.join()

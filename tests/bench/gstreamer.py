"""A relay of GStreamer's, udpsrc ! multiudpsink, in the network namespaces of peers.Lab: CPU time of its process a packet."""
import json
import shutil
import subprocess
import time
from pathlib import Path

from peers import NODE, RECEIVER

PORT = 20001  # beside that of the kernel relay
SENDER = """
import socket, sys, time
size, rate = int(sys.argv[1]), int(sys.argv[2])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
to = sys.argv[3], int(sys.argv[4])
packet, sent, begin = bytes(size), 0, time.monotonic()
while True:
    while sent < (time.monotonic() - begin) * rate:
        s.sendto(packet, to)  # unlike a connected socket it hears of no refusal
        sent += 1
    time.sleep(0.001)
"""


def cpu_seconds(pid):
    return sum(int(stat.read_text().split()[0]) for stat in Path(f"/proc/{pid}/task").glob("*/schedstat")) * 1e-9


def sent(node):
    done = subprocess.run(["ip", "-n", node, "-s", "-j", "link", "show", "dev", "out"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)[0]["stats64"]["tx"]["packets"]


def relay(lab, size, fanout, seconds, tsc_hz):
    """A row, or None where it cannot be had. It is not driven to its limit: what a packet costs is what counts."""
    if lab.missing or not shutil.which("gst-launch-1.0"):
        return None
    source, node = lab.names[:2]
    clients = ",".join(f"{RECEIVER}:{6000 + 2 * leg}" for leg in range(fanout))
    words = ["gst-launch-1.0", "-q", "udpsrc", f"address={NODE}", f"port={PORT}", "buffer-size=4194304", "!",
             "multiudpsink", f"clients={clients}", "sync=false", "async=false"]
    rate = max(200, 10_000 // fanout)
    with subprocess.Popen(["ip", "netns", "exec", node, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as relaying, \
            subprocess.Popen(["ip", "netns", "exec", source, "/usr/bin/python3", "-c", SENDER, str(size), str(rate), NODE, str(PORT)]) as sending:
        try:
            before, deadline = sent(node), time.monotonic() + 10
            while sent(node) < before + 10 * fanout and time.monotonic() < deadline:
                time.sleep(0.05)
            packets, cpu = sent(node), cpu_seconds(relaying.pid)
            time.sleep(seconds)
            packets, cpu = sent(node) - packets, cpu_seconds(relaying.pid) - cpu
        finally:
            sending.terminate()
            relaying.terminate()
    if packets == 0 or cpu == 0:
        return None
    cycles = round(cpu * tsc_hz / packets, 1)
    return {"case": "relay", "subject": "gstreamer", "size": size, "fanout": fanout, "flows": 1, "cache": "hot",
            "cycles_median": cycles, "cycles_best": cycles}

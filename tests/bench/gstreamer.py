"""What GStreamer does by CPU time of its process a packet: a relay, udpsrc ! multiudpsink, in the network namespaces of peers.Lab;
and ST 2022-1 FEC, as what a pipeline takes longer with it."""
import json
import resource
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


FEC_PAYLOAD = 1288  # of 1300 bytes of RTP
FRAME = 1280 * 720 * 2  # bytes of raw video, which is payloaded in packets of that size
SOURCE = ("videotestsrc pattern=black num-buffers={} ! video/x-raw,format=UYVY,width=1280,height=720 ! "
          "rtpvrawpay mtu=1300 ssrc=0 pt=96 ! ")  # the encoder takes no other SSRC
# Packets that wait behind so many bytes of others are in no cache any more.
COLD = "queue max-size-buffers=0 max-size-bytes=0 max-size-time=0 min-threshold-bytes=67108864 ! "
ENCODER = "rtpst2022-1-fecenc columns=10 rows=10 name=e "
SINK = "fakesink sync=false async=false "


def child_seconds(words):
    """CPU time, to the microsecond: what FEC takes is a small part of it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(["gst-launch-1.0", "-q", *words.split()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return None if done.returncode else after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def fec(tsc_hz, frames):
    """Rows, or none where it cannot be had: the best of three of each, turn by turn; without a network."""
    if not shutil.which("gst-launch-1.0"):
        return
    source = SOURCE.format(frames)
    pipelines = {
        "plain": source + SINK,
        "fec-encode": source + ENCODER + f"e.src ! {SINK} e.fec_0 ! {SINK} e.fec_1 ! {SINK}",
        "plain, cold": source + COLD + SINK,
        "fec-encode, cold": source + COLD + ENCODER + f"e.src ! {SINK} e.fec_0 ! {SINK} e.fec_1 ! {SINK}",
        "fec-decode": source + ENCODER + f"e.src ! d.sink e.fec_0 ! d.fec_0 e.fec_1 ! d.fec_1 "
                                         f"rtpst2022-1-fecdec name=d size-time=200000000 d.src ! {SINK}"}
    taken = {name: [] for name in pipelines}
    for _ in range(3):
        for name, words in pipelines.items():
            taken[name].append(child_seconds(words))
    if any(None in each for each in taken.values()):
        return
    best = {name: min(each) for name, each in taken.items()}
    packets = frames * FRAME / FEC_PAYLOAD
    for case, without in ("fec-encode", "plain"), ("fec-encode, cold", "plain, cold"), ("fec-decode", "fec-encode"):
        cycles = round((best[case] - best[without]) * tsc_hz / packets, 1)
        yield {"case": case.split(",")[0], "subject": "gstreamer", "size": 1300, "fanout": 1, "flows": 1,
               "cache": "cold" if "cold" in case else "hot", "cycles_median": cycles, "cycles_best": cycles}

"""A network that delays, reorders, loses and repeats packets, as kernels without netem have none: it forwards Ethernet frames between
the interfaces `head` and `tail` of the namespace it runs in. Usage: bad_network.py FILE SEED, where FILE is read ten times a second:
{"delay": ms, "reorder": %, "far": ms, "loss": %, "burst": %, "twice": %, "back": % lost on the way back, "cut": true}"""
import heapq
import json
import random
import select
import socket
import sys
import time

SOL_PACKET, PACKET_IGNORE_OUTGOING, SO_RCVBUFFORCE, ETH_P_ALL = 263, 23, 33, 3
ARP = b"\x08\x06"
GOES_ON = 0.7  # a burst of losses, with each packet


def opened(interface):
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    end.bind((interface, 0))
    end.setblocking(False)
    end.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    end.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    return end


class Way:
    """From one end to the other: when each frame leaves, if it does."""

    def __init__(self, chance, to):
        self.chance, self.to, self.last, self.in_burst = chance, to, 0.0, False

    def times(self, now, weather):
        def happens(what):
            return self.chance.random() * 100 < weather.get(what, 0)
        self.in_burst = self.chance.random() < GOES_ON if self.in_burst else happens("burst")
        if weather.get("cut") or self.in_burst or happens("loss"):
            return
        at = now + weather.get("delay", 0) / 1000
        if happens("reorder"):
            at += self.chance.random() * weather.get("far", 10) / 1000
        else:
            self.last = at = max(at, self.last)
        yield at
        if happens("twice"):
            yield at + self.chance.random() * 0.02


def main():
    file, chance = sys.argv[1], random.Random(int(sys.argv[2]))
    head, tail = opened("head"), opened("tail")
    ways = {head: Way(chance, tail), tail: Way(chance, head)}
    weather, look, frames, count = {}, 0.0, [], 0
    print("forwarding", flush=True)
    while True:
        now = time.monotonic()
        if now >= look:
            look = now + 0.1
            with open(file) as text:
                weather = json.load(text)
        wait = min(0.02, max(0.0, frames[0][0] - now)) if frames else 0.02
        for end in select.select(list(ways), [], [], wait)[0]:
            now = time.monotonic()
            for _ in range(64):
                try:
                    frame = end.recv(4096)
                except OSError:  # there is none, or the interface is down
                    break
                of = weather if end is head else {"delay": weather.get("delay", 0) / 2, "loss": weather.get("back", 0), "cut": weather.get("cut")}
                for at in ways[end].times(now, {} if frame[12:14] == ARP else of):
                    count += 1
                    heapq.heappush(frames, (at, count, ways[end].to, frame))
        now = time.monotonic()
        while frames and frames[0][0] <= now:
            _, _, to, frame = heapq.heappop(frames)
            try:
                to.send(frame)
            except OSError:  # its interface is down
                pass


main()

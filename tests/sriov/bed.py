"""The test bed: a namespace `outside` whose wires end in the NICs of a guest, and penstock in that guest.

    outside: wire1 === [emulated NIC: virtual function 0 - penstock - its kernel twin `wan`] : guest
"""
import json
import time

from guest import Guest
from judge import Capture
from lab import Lab, Metrics
from relay import Sender, assert_ledger, rtp_packet

OUTSIDE, NODE, OTHER = "10.9.0.1", "10.9.0.2", "10.9.1.2"
VLAN = 100
PF, VF = "0000:01:00.0", "0000:01:10.0"
RSS = "0000:02:00.0"  # another NIC of that kind, without functions
MAC = "02:00:00:00:01:00"
LOG = "/run/penstock.log"
# What this machine's speed may stretch: nothing waits so long that works.
PATIENCE = 30


def relay(sources, outputs, port):
    """A configuration of one port and one stream of one video track."""
    return _config(port, _stream(1, sources, outputs))


def streams(ends, port):
    """Of a stream for each (source, output)."""
    return _config(port, "".join(_stream(number, [source], [output]) for number, (source, output) in enumerate(ends, 1)))


def _config(port, streams_):
    return f"""node: guest
memory: {{ mbufs: 8192 }}
ports:
  - {port}
rtsp: {{ listen: [":554"] }}
streams:
{streams_}"""


def _stream(number, sources, outputs):
    flow = lambda ends: ", ".join(end if end.startswith("{") else f'{{ rtp: "{end}" }}' for end in ends)
    return f"""\
  - name: camera-{number}
    tracks:
      - media: video
        encoding: H264/90000
        payload_type: 96
        sources: [{flow(sources)}]
        outputs: [{flow(outputs)}]
"""


class Bed(Lab):
    def __init__(self, name, wires, iommu=True):
        super().__init__(f"sriov-{name}")
        self.sequence = 1000  # of RTP: what came before is a duplicate
        self.served = None  # what penstock was started with
        try:
            self.outside = self.namespace("outside")
            self.guest = Guest(self, name, self.outside, wires, iommu)
            self.outside.ip("address", "add", f"{OUTSIDE}/24", "dev", "wire1")
        except BaseException:
            self.close()
            raise

    def wait_for(self, condition, what, seconds=PATIENCE, every=0.2):
        """As lab.wait_for, with the words of penstock and the guest's time."""
        deadline = self.guest.clock() + seconds
        while not (value := condition()):
            assert self.guest.clock() < deadline, f"waited {seconds:g} s for {what}\n{self.text()[-2500:]}"
            time.sleep(every)
        return value

    # penstock in the guest

    def serve(self, config, environment=""):
        """As start(), unless it runs with that already: cases follow each other, and each can be run by itself."""
        if self.served != (config, environment) or not self.running():
            self.start(config, environment)
        return self

    def start(self, config, environment="", ready=True):
        """Starts it, in place of one that runs, and waits until it is ready."""
        if self.running():
            self.stop()
        self.served = (config, environment)
        self.guest.write("/run/penstock.yaml", config)
        self.guest.run(f"rm -f {LOG}; {environment} setsid penstock run -c /run/penstock.yaml > {LOG} 2>&1 & echo $! > /run/penstock.pid")
        if ready:
            self.wait_ready()
        return self

    def reload(self, config):
        """Not by the CLI, whose patience is that of an operator."""
        done = self.text().count("SIGHUP: ")
        self.served = None
        self.guest.write("/run/penstock.yaml", config)
        self.guest.run("kill -HUP $(cat /run/penstock.pid)")
        self.wait_for(lambda: self.text().count("SIGHUP: ") > done, "the reload")

    def received(self, port="wan"):
        """Packets, as the driver counts them."""
        return next(counter["value"] for counter in self.show(f"port stats {port}")["counters"] if counter["counter"] == "rx_good_packets")

    def running(self):
        return self.guest.run("kill -0 $(cat /run/penstock.pid)", check=False)[0] == 0

    def text(self):
        return self.guest.run(f"cat {LOG}", check=False)[1]

    def wait_ready(self):
        def ready():
            assert self.running(), f"penstock ended\n{self.text()[-3000:]}"
            return self.guest.run("wget -qO- http://127.0.0.1:9464/readyz", check=False)[0] == 0
        self.wait_for(ready, "/readyz")

    def show(self, what):
        return json.loads(self.guest.run(f"penstock cli --json show {what}", seconds=PATIENCE))

    def cli(self, words):
        return self.guest.run(f"penstock cli {words}", seconds=PATIENCE)

    def metrics(self):
        return Metrics(self.guest.run("wget -qO- http://127.0.0.1:9464/metrics", seconds=PATIENCE))

    def stop(self, signal="TERM"):
        self.served = None
        self.guest.run(f"kill -{signal} $(cat /run/penstock.pid)", check=False)
        self.wait_for(lambda: not self.running(), f"penstock to end by SIG{signal}")

    # outside

    def forwards(self, count, to=NODE, port=20000, wire="wire1"):
        """Everything that is sent comes back on both legs, byte by byte and with right checksums."""
        self.wait_legs(2)
        self.wait_ping("before media: who has no neighbour yet keeps few packets for it")
        before = self.metrics().sum("penstock_leg_packets_total")
        heard = Capture(self.outside, wire)
        sender = Sender(self.outside, to, port, first=self.sequence).send(count, per_second=1000)
        self.sequence += count
        self.wait_for(lambda: self.metrics().sum("penstock_leg_packets_total") >= before + 2 * count, f"{count} packets on each leg")
        for leg in (6000, 6100):
            assert heard.payloads(leg) == sender.sent, f"{len(heard.payloads(leg))} of {count} packets for port {leg}"
        # What the kernel outside sends goes to QEMU with unfinished checksums: a wire of that kind.
        bad = [row for row in heard.bad_checksums()[1] if row[3] in ("6000", "6100")]
        assert not bad, f"{len(bad)} copies have a wrong checksum"
        assert_ledger(self.metrics())

    def send_tagged(self, count, vlan):
        """RTP in a VLAN, from outside; returns the packets as Capture.payloads() gives them."""
        from scapy.all import IP, UDP, Dot1Q, Ether
        wire = self.outside.raw("wire1")
        link = Ether(src=self.outside.mac("wire1"), dst=self.show("port info wan")["ports"][0]["mac"]) / Dot1Q(vlan=vlan)
        packets = [rtp_packet(sequence, bytes([sequence % 256]) * 50) for sequence in range(500, 500 + count)]
        for packet in packets:
            wire.send(bytes(link / IP(src=OUTSIDE, dst=NODE) / UDP(sport=4000, dport=20000) / packet))
        return [packet.hex() for packet in packets]

    def answers_ping(self, address=NODE):
        return self.outside.run("ping", "-c", "1", "-W", "1", address, check=False).count(" 0% packet loss") == 1

    def wait_ping(self, why):
        self.wait_for(self.answers_ping, f"an answer to ping {why}")

    def wait_legs(self, count):
        self.wait_for(lambda: self.metrics().sum("penstock_leg_ready") >= count, f"{count} legs with a next hop")

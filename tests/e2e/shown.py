"""What programs read of a running forwarder: the JSON of docs/cli.md, and the metrics."""
import json
import re
import shutil
import subprocess

from lab import ROOT, Skip, wait_for
from relay import LAN, WAN, Relay, Sender, endpoint, receiver_address, wait_forwarded, wait_legs
from rtsp import Client
from steady import config, leg, stream


TYPES = {"text": str, "integer": int, "number": (int, float), "boolean": bool}


def documented():
    """What docs/cli.md says: {show command: {array: {key: (type, may be null)}}}."""
    schemas, command = {}, None
    for line in (ROOT / "docs/cli.md").read_text().splitlines():
        if heading := re.match(r"#+ `(show [^`]+)`", line):
            command = heading[1]
        elif line.startswith("#"):
            command = None
        elif command and (row := re.match(r"\| `(\w+)` \| (\w+) \|", line)):  # not an array
            schemas.setdefault(command, {})[row[1]] = TYPES[row[2]]
        elif command and (row := re.match(r"\| `(\w+)\[\]\.(\w+)` \| (\w+)( or null)? \|", line)):
            schemas.setdefault(command, {}).setdefault(row[1], {})[row[2]] = (TYPES[row[3]], bool(row[4]))
    return schemas


def test_json():
    """Every show command in JSON has the keys and types that docs/cli.md tells, no more and no fewer."""
    with Relay(2) as lab:
        repaired = stream("camera-1", 20000, leg(1) + ", fec: { scheme: st2022-1 }", leg(2)).replace(
            "20000\"", "20000\", fec: { scheme: st2022-1 }, nack: {}")
        repaired += f"      - {{ media: audio, payload_type: 10, encoding: L16/44100/2, sources: [{{ rtp: \"{endpoint(LAN[4], 20020)}\" }}, {{ rtp: \"{endpoint(LAN[4], 20022)}\" }}], delay: 20ms }}\n"  # constant rate, two paths
        streams = (repaired, stream("gate", 20010, leg(1, 6010)))
        away = "  - { name: away, rtsp: { url: \"rtsp://%s:555/away\", start: on_demand } }\n" % WAN[4]  # a camera to show
        penstock = lab.start_penstock(lab.node, config(lab, *streams, away) + "rtsp: { listen: [\":554\"] }\n")
        wait_legs(penstock, 3)
        assert Client(lab.receivers[0]).setup("video").status == 200  # an RTSP session to show
        Sender(lab.source, LAN[4], 20000).send(100)
        Sender(lab.source, LAN[4], 25000).send(10)  # nobody's: a drop to show
        Sender(lab.source, LAN[4], 20020, payload_type=10).send(250, per_second=100)  # two seconds: to learn the rate and to judge by it
        wait_forwarded(penstock, 200)
        wait_for(lambda: penstock.metrics().drops(), "a drop")
        subprocess.run(penstock.cli_command(), input=f"capture drops file {lab.file('drops.pcapng')}\n", text=True, check=True)  # to show
        helped = penstock.cli("help")
        commands = [re.sub(r"\s{2,}.*", "", line.strip()) for line in helped.splitlines() if line.strip().startswith("show ") and "RECEIVER" not in line]
        schemas = documented()
        assert set(schemas) == set(commands), f"documented {sorted(schemas)}, helped {sorted(commands)}"
        for command, schema in schemas.items():
            # camera-1 has two receivers.
            shown = penstock.show(command[5:].replace("STREAM", "gate" if command.endswith(" sdp") else "camera-1").replace("PORT", "all"))
            assert set(shown) == set(schema), (command, set(shown), set(schema))
            for array, rows in shown.items():
                if not isinstance(schema[array], dict):
                    assert isinstance(rows, schema[array]), (command, array, rows)
                    continue
                assert rows, (command, array)
                for row in rows:
                    assert set(row) == set(schema[array]), (command, array, set(row) ^ set(schema[array]))
                    for key, value in row.items():
                        kind, optional = schema[array][key]
                        assert (optional and value is None) or (isinstance(value, kind) and (kind is bool or not isinstance(value, bool))), (
                            command, array, key, value)
        assert penstock.show("port info lan")["ports"][0]["port"] == "lan"
        packets = [row["packets"] for row in penstock.show("stream all")["streams"]]
        assert packets == [100, 250, 0], packets  # a row each track
        assert json.loads(penstock.cli("--json", "reload"))["done"]
        # Counting anew concerns what is shown, not the metrics.
        penstock.cli("clear", "port", "stats", "all")
        received = [row["value"] for row in penstock.show("port stats lan")["counters"] if row["counter"] == "rx_good_packets"]
        assert received[0] < 100 < penstock.metrics().sum("penstock_port_rx_good_packets_total", port="lan"), received


def test_metrics_are_well_formed():
    """promtool finds nothing to mend in a scrape of a forwarder that has forwarded."""
    if not shutil.which("promtool"):
        raise Skip("promtool is not installed")
    with Relay(1) as lab:
        penstock = lab.relay([endpoint(LAN[4], 20000)], [endpoint(receiver_address(1), 6000)])
        Sender(lab.source, LAN[4], 20000).send(100)
        wait_forwarded(penstock, 100)
        status, text = lab.node.get(penstock.url + "/metrics")
        assert status == 200
        checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        counts = [int(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("penstock_forward_latency_seconds_bucket")]
        assert counts == sorted(counts) and counts[-1] == 100, f"the latency histogram: {counts}"

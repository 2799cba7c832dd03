"""A real Prometheus scrapes a running forwarder, answers questions about it, and raises one of our alerts."""
import json
import re
import shutil
import urllib.parse

from certificates import authority, issue
from lab import ROOT, Skip, wait_for
from steady import Steady, config, leg, start, stream
from relay import LAN, Relay, Sender, wait_forwarded, wait_legs

# Design section 6: what dashboards are built on, as far as the features exist.
CONTRACT = ["path_packets_total", "path_bytes_total", "path_lost_packets_total", "path_duplicate_packets_total", "path_reordered_packets_total",
            "path_jitter_seconds", "leg_packets_total", "leg_bytes_total", "drops_total", "port_rx_good_packets_total",
            "forward_latency_seconds_bucket", "table_pending", "build_info"]


def test_documented():
    """docs/metrics.md names every metric that a forwarder has, and none that it has not."""
    with Relay(1) as lab:
        gate = "  - { name: gate, rtsp: { url: \"rtsp://h/\", start: on_demand } }\n"
        authority(lab)
        certificate, key = issue(lab, "node", LAN[4])
        rtsp = f"rtsp: {{ listen: [\":8554\"], tls: {{ certificate: {certificate}, key: {key} }} }}\n"
        penstock = lab.start_penstock(lab.node, config(lab, stream("camera-1", 20000, leg(1)), gate) + rtsp)
        wait_legs(penstock, 1)
        Sender(lab.source, LAN[4], 20000).send(100)
        wait_forwarded(penstock, 100)
        there = set(re.findall(r"^# TYPE (penstock_\w+)", penstock.metrics().text, re.MULTILINE))
        told = set(re.findall(r"`(penstock_\w+)", (ROOT / "docs/metrics.md").read_text()))
        # What ports count is named by their drivers, and the page names some of it.
        there, told = ({name for name in names if not name.startswith("penstock_port_") or name == "penstock_port_up"} for names in (there, told))
        assert told == there, f"not in docs/metrics.md: {sorted(there - told)}; there only: {sorted(told - there)}"


class Prometheus:
    url = "http://127.0.0.1:9090"

    def __init__(self, lab, rules):
        program = shutil.which("prometheus")
        if not program:
            raise Skip("prometheus is not installed (tools/setup does it)")
        lab.file("rules.yaml", rules)
        configuration = lab.file("prometheus.yaml", "global: { scrape_interval: 1s, evaluation_interval: 1s }\nrule_files: [rules.yaml]\n"
                                 "scrape_configs:\n  - job_name: penstock\n    static_configs: [{ targets: ['127.0.0.1:9464'] }]\n")
        self.node = lab.node
        self.process = lab.node.start(program, f"--config.file={configuration}", f"--storage.tsdb.path={lab.file('prometheus-data')}",
                                      "--web.listen-address=127.0.0.1:9090", log=lab.file("prometheus.log"))
        wait_for(self._ready, "prometheus to be ready", 30)

    def _ready(self):
        assert self.process.running(), self.process.text()[-3000:]
        try:
            return self.node.get(self.url + "/-/ready")[0] == 200
        except OSError:
            return False

    def ask(self, path, **parameters):
        status, text = self.node.get(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        answer = json.loads(text)
        assert status == 200 and answer["status"] == "success", answer
        return answer["data"]

    def value(self, query):
        """The one value of a query; None: there is none yet."""
        found = self.ask("query", query=query)["result"]
        assert len(found) <= 1, (query, found)
        return float(found[0]["value"][1]) if found else None


def test_scrape():
    """The target is up, the contract's names have the CLI's values, all rules load, and a silent source raises its alert."""
    rules = (ROOT / "config/prometheus/alerts.yaml").read_text()
    # As delivered, but hastier: a minute of silence is a few seconds here.
    hasty = re.sub(r"\[\d+m\]", "[4s]", re.sub(r"for: \d+m", "for: 1s", rules))
    with Relay(1) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        prometheus = Prometheus(lab, hasty)
        with Steady(lab) as steady:
            Sender(lab.source, LAN[4], 25000).send(10)  # nobody's
            wait_for(lambda: prometheus.value("up") == 1, "the target to be up", 15)
            target, = prometheus.ask("targets")["activeTargets"]
            assert target["health"] == "up" and not target["lastError"], target
            wait_for(lambda: (prometheus.value("rate(penstock_path_packets_total[4s])") or 0) > 100, "a rate", 15)
        wait_forwarded(penstock, len(steady.sent))
        shown = penstock.show("stream camera-1")
        path, out = shown["paths"][0], shown["legs"][0]
        worker = penstock.show("worker all")["workers"][0]
        latency = penstock.show("worker all")["latency"][0]
        drops = {row["reason"]: row["packets"] for row in penstock.show("drops")["drops"]}
        received = {row["counter"]: row["value"] for row in penstock.show("port stats lan")["counters"]}["rx_good_packets"]
        for query, value in (("penstock_path_packets_total", path["packets"]), ("penstock_path_bytes_total", path["bytes"]),
                             ("penstock_path_lost_packets_total", path["lost"]), ("penstock_leg_packets_total", out["packets"]),
                             ("penstock_leg_bytes_total", out["bytes"]), ("penstock_drops_total{reason=\"no_flow\"}", drops["no_flow"]),
                             ("penstock_worker_forwarded_packets_total", worker["forwarded"]),
                             ("penstock_forward_latency_seconds_count", latency["packets"]), ("penstock_port_rx_good_packets_total{port=\"lan\"}", received),
                             ("penstock_worker_stalled", 0), ("penstock_worker_ledger_balanced", 1), ("min(penstock_port_up)", 1)):
            wait_for(lambda: prometheus.value(query) == value, f"{query} to be {value}", 10)
        assert abs(prometheus.value("penstock_path_jitter_seconds") * 1000 - path["jitter_ms"]) < 0.001
        known = set(prometheus.ask("label/__name__/values"))
        assert not [name for name in CONTRACT if f"penstock_{name}" not in known], sorted(known)
        assert 0 < prometheus.value("histogram_quantile(0.99, penstock_forward_latency_seconds_bucket)") < 1

        groups = prometheus.ask("rules")["groups"]
        loaded = {rule["name"]: rule for group in groups for rule in group["rules"]}
        assert set(loaded) == set(re.findall(r"- alert: (\w+)", rules)), loaded.keys()
        assert all(rule["health"] in ("ok", "unknown") for rule in loaded.values()), loaded
        # The source is silent since Steady ended.
        def firing():
            return [alert for alert in prometheus.ask("alerts")["alerts"] if alert["state"] == "firing"]
        wait_for(lambda: any(alert["labels"]["alertname"] == "PenstockSourceSilent" for alert in firing()), "the alert of a silent source", 30)
        alert, = [alert for alert in firing() if alert["labels"]["alertname"] == "PenstockSourceSilent"]
        assert (alert["labels"]["stream"], alert["labels"]["path"]) == ("camera-1", "1"), alert
        assert "camera-1/video path 1 fell silent" in alert["annotations"]["summary"], alert
        with Steady(lab):
            wait_for(lambda: not any(alert["labels"]["alertname"] == "PenstockSourceSilent" for alert in firing()), "the alert to end", 30)
        assert not [alert for alert in firing() if alert["labels"]["severity"] == "critical"], firing()

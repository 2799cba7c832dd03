"""docs/performance.md as tools/bench --report writes it, of figures that were never measured."""
import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

from lab import ROOT

sys.path.append(str(ROOT / "tests/bench"))
import page  # noqa: E402


def row(case, **more):
    return {"case": case, "subject": "penstock", "size": 200, "fanout": 1, "flows": 10, "cache": "hot", "cycles_median": 100.0,
            "cycles_best": 90.0, **more}


def measured():
    """Every row that the page has a place for; of the walk, each with a figure of its own."""
    walks = [row("walk", kind=kind, size=size, fanout=fanout, p50_us=1.0, p99_us=2.0, p999_us=3.0)
             for kind in page.KINDS for size in page.SIZES for fanout in page.FANOUTS]
    for n, each in enumerate(walks):
        each["cycles_median"] = 501.0 + n
    rows = walks + [row("streams", flows=n, grown_bytes=1000 * n) for n in page.STREAMS]
    rows += [row("legs", fanout=n, grown_bytes=100 * n) for n in page.LEGS]
    rows += [row("changes", flows=100_000, rate=rate, changes_per_second=n, lost=0, latency_p50_us=1.0, latency_p99_us=2.0,
                 latency_p999_us=3.0, change_us_median=n and 50.0) for rate in page.RATES for n in (0, rate)]
    rows += [row("workers", size=size, fanout=fanout, cycles_together=[100.0, 101.0], speedup=1.97)
             for size in page.SIZES for fanout in (1, 8)]
    for size in page.SIZES:
        for fanout in page.PEER_FANOUTS:
            rows += [row("relay-beside-peers", size=size, fanout=fanout, cache=cache) for cache in ("hot", "cold")]
            rows += [row("relay", subject=name, size=size, fanout=fanout, cycles_median=5000.0 if name == "kernel" else 120.0)
                     for name in page.PEERS if fanout == 1 or not name.startswith("testpmd")]
        rows += [{"case": "wire", "subject": name, "size": size, "fanout": fanout, "packets_per_second": 100_000,
                  "packets_per_cpu_second": 900_000 if name.startswith("penstock") else 200_000} for name in page.WIRE for fanout in page.WIRE_FANOUTS]
    rows += [row(case, flows=n, cache=cache, cycles_median=60.0) for case in ("fec-encode", "fec-decode", "merge") for cache in ("hot", "cold")
             for n in (1, 4096)]
    rows += [row(case, subject="gstreamer", flows=1, cache=cache, cycles_median=2000.0)
             for case, cache in (("fec-encode", "hot"), ("fec-encode", "cold"), ("fec-decode", "hot"))]
    rows += [row("fec-encode", flows=4096, cache=f"cold, a {what} at a time", cycles_median=60.0) for what in ("picture", "matrix")]
    rows += [row("read-once", cache="cold", cycles_median=50.0)]
    rows += [row("round-trip", subject=subject, size=size, p50_us=6.0, p99_us=9.0, p999_us=20.0, packets=1000, lost=0)
             for subject in ("penstock-poll", "penstock-sleep", "echo") for size in page.SIZES]
    rows += [row("latency-beside-spin", subject=subject, p50_us=0.1, p99_us=p99, p999_us=15.0, taken_p50_us=0.1, taken_p99_us=2.0, taken_p999_us=4.0,
                 two_bursts_us=5.0, gaps=0.01, others=0.005, longest_us=90.0, faults_per_second=0.0, shootdowns_per_second=1.0)
             for subject, p99 in (("penstock", 13.0), ("busy", 12.0), ("spin", 6.0))]
    rows += [row("overload", peak_pps=2e6, goodput_pps=1.99e6, of_peak=0.995, offered=2.0, dropped_at_rx=0.5, fairness=0.9999,
                 change_p99_ms=0.2)]
    facts = {"cpu": "none", "cores": 2, "tsc_hz": 2_000_000_000, "load_average": 0.1, "load_average_at_end": 1.0,
             "transparent_hugepages": "madvise", "memory_on_huge_pages_mib": 100}
    return {"date": "2026-01-01 00:00 UTC", "quick": False, "machine": facts, "rows": rows, "not_measured": {"rtpengine": "for a reason"}}


def write(figures, directory):
    taken, to = Path(directory, "taken.json"), Path(directory, "performance.md")
    taken.write_text(json.dumps(figures))
    done = subprocess.run([ROOT / "tools/bench", "--report", to, "--from", taken, "--check", "--json", Path(directory, "judged.json")],
                          capture_output=True, text=True, timeout=30, cwd=directory)
    assert to.exists(), done.stdout + done.stderr
    return done.returncode, to.read_text(), {path.name: path.read_text() for path in Path(directory, "performance").iterdir()}


def cells(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_performance_report():
    """Every row of the matrix with its figure, plots that are drawn, and all targets judged; the same once more; and what is not
    there or not reached is said."""
    figures = measured()
    with tempfile.TemporaryDirectory() as directory:
        code, text, plots = write(figures, directory)
        assert code == 0, text
        assert (code, text, plots) == write(figures, directory)
    for each in figures["rows"]:
        if each["case"] == "walk":
            line = [page.WORDS[each["kind"]], str(each["fanout"]), f"{each['cycles_median']:.0f}", "90", "1.0", "2.0", "3.0"]
            assert line in cells(text), line
    lacking = [line for line in cells(text) if page.NONE in line]
    assert not lacking, lacking
    assert ["rtpengine, userspace", *["200 (100)"] * 4] in cells(text)
    assert "rtpengine, not measured: for a reason." in text
    assert "**missed**" not in text and "were missed" not in text
    for name, svg in plots.items():
        drawing = xml.fromstring(svg)
        marks = sum(len(list(drawing.iter("{http://www.w3.org/2000/svg}" + mark))) for mark in ("circle", "rect"))
        assert f"performance/{name})" in text and marks > 3 and len(svg) < 10_000, (name, marks, len(svg))
    # One walk less, without two workers, and streams that take more memory than they may.
    gone = next(each for each in figures["rows"] if each["case"] == "walk" and each["kind"] == "merge" and each["fanout"] == 100)
    figures["rows"] = [each for each in figures["rows"] if each is not gone and each["case"] != "workers" and each["subject"] != "rtpengine"]
    for each in figures["rows"]:
        if each["case"] == "streams":
            each["grown_bytes"] = 3000 * each["flows"]
    with tempfile.TemporaryDirectory() as directory:
        code, text, _ = write(figures, directory)
        judged = {goal["goal"]: goal["met"] for goal in json.loads(Path(directory, "judged.json").read_text())["verdict"]}
    assert code == 1
    assert ["merge", "100", *[page.NONE] * 5] in cells(text)
    assert [met for goal, met in judged.items() if goal.startswith("two workers") or goal.endswith("rtpengine")] == [None, None], judged
    assert [goal for goal, met in judged.items() if met is False] == ["memory per stream with one leg: under 2,048 B"], judged
    assert text.count("**missed**") == 1
    reason, = (line for line in text.splitlines() if line.startswith("- *memory per stream with one leg: under 2,048 B*: "))
    assert "decisions/0029" in reason and text.index("Why these were missed") < text.index(reason), reason


def rtsp_rows(deaf_viewers):
    def each(case, subject, driver, transport, deaf, viewers):
        return {"case": case, "subject": subject, "driver": driver, "transport": transport, "deaf": deaf, "viewers": viewers, "playing": viewers,
                "failures": {}, "lost": 0, "behind": 0.0, "fine": True, "sessions_per_second": 2000, "kib_per_viewer": 7.0, "packets_per_second": 400.0,
                "server_cores": 0.5, "softirq_cores": 0.25, "viewers_cores": 0.25, "failed_at": None}
    counts = {("penstock", "udp", True): deaf_viewers, ("gstreamer", "udp", True): 1000, ("penstock", "udp", False): 2000,
              ("gstreamer", "udp", False): 500, ("penstock", "tcp", False): 4000, ("gstreamer", "tcp", False): 200}
    return [each(case, subject, "af_xdp" if subject == "penstock" else None, transport, deaf, viewers)
            for case in ("rtsp-setup", "rtsp") for (subject, transport, deaf), viewers in counts.items()] + \
        [each("rtsp", "penstock", "null", "udp", True, 60_000)]


def test_rtsp_report():
    """The same of RTSP: viewers beside a GStreamer server's, judged."""
    for viewers, ratio, word, expected in (12_000, "12", "met", 0), (9_000, "9", "**missed**", 1):
        with tempfile.TemporaryDirectory() as directory:
            taken, to = Path(directory, "taken.json"), Path(directory, "rtsp.md")
            taken.write_text(json.dumps({**measured(), "rows": rtsp_rows(viewers)}))
            done = subprocess.run([ROOT / "tools/bench", "--rtsp", "--report", to, "--from", taken, "--check"], capture_output=True, text=True, timeout=30)
            assert done.returncode == expected, done.stdout + done.stderr
            found = cells(to.read_text())
        assert ["viewers, UDP, deaf: at least 10 x the GStreamer server's", ratio, word, "af_xdp"] in found, found
        assert ["viewers, TCP: at least 3 x the GStreamer server's", "20", "met", "af_xdp"] in found, found
        assert ["penstock", "af_xdp", "UDP, deaf", f"{viewers:,}"] in [line[:4] for line in found], found

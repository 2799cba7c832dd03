"""Measures what docs/performance.md tells and writes it; tools/bench --report calls this after the build."""
import datetime
import os
import shutil
import sys

import bench
import gstreamer
import page
import peers
import round_trip
import targets
import wire

WALK_FLOWS = 10


def walks(programs, seconds):
    cases = [f"{kind}:{size}:{fanout}:{WALK_FLOWS}" for kind in page.KINDS for fanout in page.FANOUTS for size in page.SIZES]
    yield from bench.rows_of([programs / "bench-walk", seconds, *cases])


def growth(programs, seconds):
    """Against streams and against legs; each in a process of its own, so that its memory is its own."""
    for streams in page.STREAMS:
        for row in bench.rows_of([programs / "bench-walk", seconds, f"plain:200:1:{streams}"]):
            yield {**row, "case": "streams"}
    for legs in page.LEGS:
        for row in bench.rows_of([programs / "bench-walk", seconds, f"plain:200:{legs}:1"]):
            yield {**row, "case": "legs"}


def beside_peers(programs, rounds, seconds, tsc_hz):
    """penstock and those it is compared with, turn by turn."""
    found = []
    with peers.Lab() as lab:
        for n in range(rounds):
            print(f"bench: peers, round {n + 1} of {rounds}", flush=True)
            for size in page.SIZES:
                plan = [f"relay:{size}:{fanout}:1000:{cache}" for fanout in page.PEER_FANOUTS for cache in ("hot", "cold")]
                found += [{**row, "case": "relay-beside-peers"} for row in bench.rows_of([programs / "bench-relay", seconds, *plan])
                          if row.get("subject") == "penstock"]
                found += lab.kernel(programs / "bench-kernel", size, seconds)
                found += lab.kernel(programs / "bench-kernel", size, seconds, "gso")
                found += peers.testpmd(size, tsc_hz)
                found += filter(None, (gstreamer.relay(lab, size, fanout, 1, tsc_hz) for fanout in page.PEER_FANOUTS))
        missing = lab.missing
    return bench.middle(found), missing


def not_measured(missing, cores):
    why = {}
    if missing:
        why["kernel relay, GStreamer relay"] = missing
    elif not shutil.which("gst-launch-1.0"):
        why["GStreamer relay, FEC of GStreamer"] = "gst-launch-1.0 is not installed"
    if not shutil.which("dpdk-testpmd"):
        why["testpmd"] = "dpdk-testpmd is not installed"
    if cores < 2:
        why["changes, latency beside a spin loop, overload, two workers"] = "they take two cores"
    return why


def measure(programs, quick):
    facts = bench.machine()
    bench.describe(facts, programs / "bench-relay")
    rows = []

    def take(what, found):
        print(f"bench: {what}", flush=True)
        rows.extend(found)

    seconds = "0.2" if quick else "1.5"
    take("the walk of a packet", walks(programs, seconds))
    take("streams and legs", growth(programs, seconds))
    take("FEC alone", bench.rows_of([programs / "bench-fec"]))
    take("FEC of GStreamer", gstreamer.fec(facts["tsc_hz"], 20 if quick else 200))
    take("two paths alone", bench.rows_of([programs / "bench-merge"]))
    if facts["cores"] > 1:
        for rate in page.RATES:
            found = bench.rows_of([programs / "bench-changes", "2" if quick else "15", rate])
            take(f"{rate} changes a second", ({**row, "rate": rate} for row in found))
        take("latency beside a spin loop", bench.rows_of([programs / "bench-latency", "2" if quick else "20"]))
        take("overload", bench.rows_of([programs / "bench-overload", "2" if quick else "10"]))
        take("two workers", bench.rows_of([programs / "bench-workers", "4" if quick else "24"]))
    over_veth, unseen = wire.measure(programs, 0.5 if quick else 2)
    rows += over_veth
    print("bench: round trips", flush=True)
    trips, no_trips = round_trip.measure(programs, quick)
    rows += trips
    found, missing = beside_peers(programs, 1 if quick else 4, "0.2" if quick else "0.4", facts["tsc_hz"])
    rows += found
    facts["load_average_at_end"] = round(os.getloadavg()[0], 1)
    return {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"), "quick": quick, "machine": facts,
            "rows": rows, "not_measured": not_measured(missing, facts["cores"]) | unseen | no_trips}


def main():
    options, measured = bench.measured_for_page("--report", "docs/performance.md", measure, targets.verdict)
    plots = options.report.with_suffix("")  # beside it, in a directory of its name
    plots.mkdir(parents=True, exist_ok=True)
    for name, svg in page.plots(measured["rows"]).items():
        (plots / f"{name}.svg").write_text(svg)
    options.report.write_text(page.write(measured, plots.name))
    print(f"bench: wrote {options.report} and the plots in {plots}")
    return bench.missed(options, measured)


if __name__ == "__main__":
    sys.exit(main())

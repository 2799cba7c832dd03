"""DPDK's own tool, dpdk-telemetry.py, shows the streams of a running forwarder."""
import json
import os
import shutil
import signal
import stat
import subprocess
import threading
from pathlib import Path

from cases import alone
from lab import Skip, wait_for
from steady import config, leg, start, stream
from relay import LAN, Relay, Sender, wait_forwarded
from watch import Halted

TOOL = shutil.which("dpdk-telemetry.py")


def directory_of(penstock):
    return Path("/run/dpdk") / f"penstock-{penstock.pid}"


def tell(penstock, *commands):
    """What it answers to each, as values."""
    done = subprocess.run([TOOL, "-f", f"penstock-{penstock.pid}"], input="".join(f"{c}\n" for c in commands) + "quit\n", capture_output=True, text=True, timeout=20)
    answers = [json.loads(line.removeprefix("--> ")) for line in done.stdout.splitlines() if line.removeprefix("--> ").startswith("{")]
    assert len(answers) == len(commands), (done.stdout + done.stderr)[:2000]
    return [answer[command.split(",")[0]] for answer, command in zip(answers, commands)]


def test_streams():
    """Streams, workers and drops as the CLI has them; what does not exist is null; nobody else may ask."""
    if not TOOL:
        raise Skip("dpdk-telemetry.py is not installed (Debian: dpdk-dev)")
    with Relay(1) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)), stream("gate", 20010, leg(1, 6010)))
        Sender(lab.source, LAN[4], 20000).send(100)
        Sender(lab.source, LAN[4], 25000).send(10)  # nobody's
        wait_forwarded(penstock, 100)
        wait_for(lambda: penstock.metrics().drops().get("no_flow") == 10, "the drops")
        commands, streams, further, one, none, workers, drops, ports = tell(
            penstock, "/", "/penstock/streams", "/penstock/streams,camera-1", "/penstock/stream,camera-1", "/penstock/stream,moon", "/penstock/workers",
            "/penstock/drops", "/ethdev/list")
        assert {"/penstock/streams", "/penstock/stream", "/penstock/workers", "/penstock/drops"} <= set(commands)
        assert streams == ["camera-1", "gate"] and further == ["gate"] and none is None
        shown = {row["stream"]: row for row in penstock.show("stream all")["streams"]}["camera-1"]
        assert set(one) == {"video"} and one["video"]["packets"] == 100 == shown["packets"]
        assert {key: one["video"][key] for key in ("bytes", "lost", "legs", "legs_ready", "worker")} == {
            key: shown[key] for key in ("bytes", "lost", "legs", "legs_ready", "worker")}
        worker = penstock.show("worker all")["workers"][0]
        assert workers["worker_0"]["forwarded"] == worker["forwarded"] == 100 and workers["worker_0"]["balanced"] == 1
        assert drops == {row["reason"]: row["packets"] for row in penstock.show("drops")["drops"]} and drops["no_flow"] == 10
        assert len(ports) == 2
        directory = directory_of(penstock)
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700 and directory.stat().st_uid == os.getuid()
        assert penstock.stop(signal.SIGTERM) == 0, penstock.text()
        assert not directory.exists(), "it leaves its directory behind"


def test_many_streams():
    """More names than one answer holds are told in several, each asked for by the last name of the one before."""
    if not TOOL:
        raise Skip("dpdk-telemetry.py is not installed (Debian: dpdk-dev)")
    with Relay(1) as lab:
        names = sorted(f"a-stream-with-quite-a-long-name-{number}" for number in range(1200))
        penstock = start(lab, *(stream(name, 20000 + 2 * number) for number, name in enumerate(names)))
        found = []
        while more := tell(penstock, f"/penstock/streams,{found[-1]}" if found else "/penstock/streams")[0]:
            found += more
        assert found == names


@alone
def test_killed():
    """Of a forwarder that was killed the next one removes what it left, and that alone."""
    with Relay(1) as lab:
        killed = start(lab, stream("camera-1", 20000, leg(1)))
        left = directory_of(killed)
        killed.stop(signal.SIGKILL)
        assert list(left.iterdir()), "nothing was left: what is tested here?"
        other = lab.start_penstock(lab.node, config(lab, stream("camera-1", 20000, leg(1))))
        assert not left.exists() and list(directory_of(other).iterdir())


@alone
def test_busy_control():
    """While control does not answer, whoever asks is told so soon; and afterwards all is well."""
    if not TOOL:
        raise Skip("dpdk-telemetry.py is not installed (Debian: dpdk-dev)")
    with Relay(1) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        with Halted(penstock.pid):  # the control thread alone
            assert tell(penstock, "/penstock/streams") == [None]
        assert tell(penstock, "/penstock/streams") == [["camera-1"]]
        asking = [threading.Thread(target=tell, args=(penstock, *["/penstock/workers"] * 20)) for _ in range(4)]
        for thread in asking:
            thread.start()
        assert penstock.stop(signal.SIGTERM) == 0, penstock.text()  # while they ask
        for thread in asking:
            thread.join()

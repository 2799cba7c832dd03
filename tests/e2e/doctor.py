"""`penstock doctor`, and `penstock run` that refuses with the same words."""
import json
import os
import re
import signal
import socket
import subprocess
import time

from cases import alone, cases
from lab import PENSTOCK, ROOT, Skip, run
from relay import LAN, Relay, endpoint, receiver_address

TRACK = [("video", 96, "H264/90000", [endpoint(LAN[4], 20000)], [endpoint(receiver_address(1), 6000)])]


def look(lab, config, *before, words=("--json",)):
    """What the doctor says in the node, started by `before`: exit code and output."""
    if not PENSTOCK.exists():
        raise Skip(f"{PENSTOCK} is not built")
    path = lab.file("looked-at.yaml", config + f"control: {{ socket: {lab.file('looked-at.sock')} }}\n")
    done = subprocess.run(lab.node.inside([*before, PENSTOCK, "doctor", "-c", path, *words]), capture_output=True, text=True,
                          timeout=20)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def findings(lab, config, *before):
    """{(check, of): finding}; the verdict, the exit code and the findings say the same."""
    code, text = look(lab, config, *before)
    said = json.loads(text)
    found = {(finding["check"], finding["of"]): finding for finding in said["findings"]}
    assert len(found) == len(said["findings"]), "something is said twice: " + text
    starts = "missing" not in {finding["status"] for finding in found.values()}
    assert code == (0 if starts else 1) and said["verdict"][0]["would_start"] == starts, (code, text)
    return found


def agree(lab, config, *before):
    """The doctor's findings, and `run` does as they say: starts, or refuses with the words of what is missing and no others."""
    found = findings(lab, config, *before)
    missing = [finding for finding in found.values() if finding["status"] == "missing"]
    penstock = lab.start_penstock(lab.node, config, ready=not missing, before=before)
    if not missing:
        assert penstock.stop(signal.SIGTERM) == 0, penstock.text()
        return found
    assert penstock.wait(10) == 1, penstock.text()
    lines = [line for line in penstock.text().splitlines() if "missing: " in line]
    for finding in missing:
        words = [finding[key] for key in ("check", "found", "why", "mend")] + [finding["of"] or ""]
        assert any(all(word in line for word in words) for line in lines), f"run does not say: {finding}\n{penstock.text()}"
    assert "DPDK" not in penstock.text(), "something was opened first: " + penstock.text()
    assert len(lines) == len(missing), f"run refuses for more than the doctor says: {penstock.text()}"
    return found


def missing_in(found):
    return {what for what, finding in found.items() if finding["status"] == "missing"}


@cases(driver=("af_xdp", "af_packet"))
def test_ready_machine(driver):
    with Relay(1, driver) as lab:
        found = agree(lab, lab.config(TRACK))
        assert not missing_in(found), missing_in(found)
        assert found["capabilities", "lan"]["status"] == found["uplink", "wan"]["status"] == "met"
        assert (("XDP", "lan") in found) == (driver == "af_xdp"), "only what the configuration needs is looked at"


def one_port(lab, text="", more=""):
    return lab.config(TRACK, ports=f"  - {{ name: lan, driver: {lab.driver}, interface: lan0{text} }}\n"
                                   f"  - {{ name: wan, driver: af_packet, interface: wan0 }}\n") + more


def stranger(lab):
    """A program that is not ours on lan0, as a firewall would have it."""
    lab.file("pass.c", '__attribute__((section("xdp"))) int stranger(void* packet) { return 2; }\n'
                       'char _license[] __attribute__((section("license"))) = "GPL";\n')
    run("clang", "-O2", "-target", "bpf", "-c", lab.file("pass.c"), "-o", lab.file("pass.o"))
    lab.node.ip("link", "set", "lan0", "xdp", "obj", lab.file("pass.o"), "sec", "xdp")


def serve(lab, path):
    server = socket.socket(socket.AF_UNIX)
    lab.on_close(server.close)
    server.bind(str(path))
    server.listen(1)


def test_missing_one_by_one():
    """Each of these is missing, alone; `run` says so in the same words; and mended, it starts."""
    with Relay(1, "af_xdp") as lab:
        twin = "  - { name: t, driver: tap, interface: far0, twin: near0 }\n"
        path = lambda: lab.file("vhost.sock")
        vhost = lambda: f"  - {{ name: vm, driver: vhost, socket: {path()}, addresses: [10.3.0.1/24] }}\n"
        with_port = lambda port: lab.config(TRACK, ports=lab.ports() + port)
        troubles = [
            (("interface", "lan"), one_port(lab).replace("interface: lan0", "interface: nic7"), None, None),
            (("queues", "lan"), one_port(lab, ", queues: 3"), None, None),
            (("zero-copy", "lan"), one_port(lab, ", zero_copy: on"), None, None),
            (("hugepages", None), one_port(lab).replace("memory: {", "memory: { hugepages: on,"), None, None),
            (("cores", None), one_port(lab).replace("workers: {", "workers: { cores: [1000],"), None, None),
            (("metrics address", None), one_port(lab, more="metrics: { listen: 10.99.0.1:9464 }\n"), None, None),
            (("rtsp address", None), one_port(lab, more="rtsp: { listen: [\"10.99.0.1:8554\"] }\n"), None, None),
            (("XDP", "lan"), one_port(lab), lambda: stranger(lab), lambda: lab.node.ip("link", "set", "lan0", "xdp", "off")),
            (("uplink", "lan"), one_port(lab), lambda: lab.node.ip("route", "add", "default", "via", "10.1.0.2"),
             lambda: lab.node.ip("route", "del", "default")),
            (("uplink", "lan"), one_port(lab), lambda: lab.node.ip("-6", "route", "add", "default", "via", "fd01::2"),
             lambda: lab.node.ip("-6", "route", "del", "default")),
            (("twin", "t"), with_port(twin), lambda: lab.node.ip("link", "add", "near0", "type", "bridge"),
             lambda: lab.node.ip("link", "del", "near0")),
            (("path", "vm"), with_port(vhost()), lambda: serve(lab, path()), lambda: path().unlink()),
            (("path", "vm"), with_port(vhost().replace("vhost.sock", "no/vhost.sock")), None, None),
        ]
        for what, config, spoil, mend in troubles:
            if spoil:
                spoil()
            found = agree(lab, config)
            assert missing_in(found) == {what}, f"{what}: {missing_in(found)}"
            if mend:
                mend()
                assert not missing_in(agree(lab, config)), f"{what} is still missing"


def test_force():
    """The node's own uplink is taken only with force: true, and said to be risky then."""
    with Relay(1, "af_xdp") as lab:
        lab.node.ip("route", "add", "default", "via", "10.1.0.2")
        refused = agree(lab, one_port(lab))["uplink", "lan"]
        assert refused["status"] == "missing" and "default via 10.1.0.2" in refused["found"] and "force: true" in refused["mend"]
        forced = agree(lab, one_port(lab, ", force: true"))["uplink", "lan"]
        assert forced["status"] == "degraded" and "default via 10.1.0.2" in forced["found"]
        lab.driver = "af_packet"  # takes nothing from the kernel
        assert agree(lab, one_port(lab))["uplink", "lan"]["status"] == "met"


@cases(driver=("af_xdp", "af_packet"))
def test_limits(driver):
    """Too little memory may be locked, or capabilities lack."""
    with Relay(1, driver) as lab:
        no_lock = ("setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock")
        found = agree(lab, lab.config(TRACK), "prlimit", "--memlock=1048576", *no_lock)
        assert missing_in(found) == {("memlock", None)}, missing_in(found)
        assert "1 MiB may be locked" in found["memlock", None]["found"]
        found = agree(lab, lab.config(TRACK), "setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw")
        assert missing_in(found) == {("capabilities", "lan"), ("capabilities", "wan")}, missing_in(found)
        assert found["capabilities", "lan"]["found"] == "CAP_NET_RAW lacking"


@alone
def test_mend_hugepages():
    """The command that the doctor gives mends it."""
    pages = "/proc/sys/vm/nr_hugepages"
    before = open(pages).read().strip()
    with Relay(1, "af_packet") as lab:
        config = lab.config(TRACK).replace("memory: {", "memory: { hugepages: on,")
        mend = findings(lab, config)["hugepages", None]["mend"]
        if mend is None:
            raise Skip("there are hugepages already")
        wanted = re.fullmatch(r"sysctl -w vm\.nr_hugepages=(\d+)", mend).group(1)
        lab.on_close(lambda: open(pages, "w").write(before))
        run(*mend.split())
        if open(pages).read().strip() != wanted:
            raise Skip(f"this machine has no room for {wanted} hugepages")
        assert not missing_in(agree(lab, config))


def test_text():
    """A line of at most 100 columns each; what is not met says why and how to mend it."""
    with Relay(1, "af_xdp") as lab:
        config = one_port(lab, ", queues: 3, zero_copy: on").replace("workers: {", "workers: { cores: [1000],")
        code, text = look(lab, config, words=())
        assert code == 1 and "would not start: 3 missing" in text, text
        assert max(map(len, text.splitlines())) <= 100, text
        assert all(not line.endswith(" ") for line in text.splitlines()), text
        said = json.loads(look(lab, config)[1])["findings"]
        blocks = re.split(r"\n(?=met |degraded |missing |\n)", text)
        assert len(blocks) == len(said) + 1, text
        for block, finding in zip(blocks, said):
            joined = " ".join(block.split())
            assert joined.startswith(finding["status"] + " " + finding["check"]), (block, finding)
            for word in filter(None, (finding["found"], finding["why"], finding["mend"])):
                assert " ".join(word.split()) in joined, (word, block)
            assert (finding["status"] == "met") == (finding["why"] is None) == (finding["mend"] is None), finding
        code, text = look(lab, one_port(lab), words=())
        assert code == 0 and text.rstrip().endswith("would start"), text


def test_json_as_documented():
    """docs/doctor.md names every key with its type, and every check; JSON has them, all of them and no others."""
    page = (ROOT / "docs/doctor.md").read_text()
    documented = {key: kind for key, kind in re.findall(r"^\| `(\w+\[\]\.\w+)` \| (\w+) \|", page, re.MULTILINE)}
    checks = set(re.findall(r"^\| `([^`]+)` \| (?:port)? ?\|", page, re.MULTILINE))
    types = {"text": (str, type(None)), "boolean": bool}
    with Relay(1, "af_xdp") as lab:
        said = json.loads(look(lab, lab.config(TRACK))[1])
        for section, rows in said.items():
            assert rows
            for row in rows:
                assert {f"{section}[].{key}" for key in row} == {key for key in documented if key.startswith(section)}, row
                for key, value in row.items():
                    assert isinstance(value, types[documented[f"{section}[].{key}"]]), (key, value)
        assert {finding["check"] for finding in said["findings"]} <= checks, checks
    source = "".join(file.read_text() for file in (ROOT / "src/doctor").glob("judge*.cpp"))
    assert all(f'"{check}"' in source for check in checks), [check for check in checks if f'"{check}"' not in source]


def test_no_configuration():
    """Without a file the machine is described; nothing is missing, and `run` would not start."""
    if os.path.exists("/etc/penstock/penstock.yaml"):
        raise Skip("there is a file at the default place")
    with Relay(1, "af_packet") as lab:
        done = subprocess.run(lab.node.inside([PENSTOCK, "doctor", "--json"]), capture_output=True, text=True, timeout=20)
        said = json.loads(done.stdout)
        assert done.returncode == 1 and said["verdict"][0]["configuration"] is None, done
        found = {(finding["check"], finding["of"]): finding for finding in said["findings"]}
        assert "missing" not in {finding["status"] for finding in found.values()}
        assert "driver veth" in found["interface", "lan0"]["found"] and ("capabilities", "af_xdp") in found
        text = subprocess.run(lab.node.inside([PENSTOCK, "doctor"]), capture_output=True, text=True, timeout=20).stdout
        assert "no configuration" in text and max(map(len, text.splitlines())) <= 100, text


def test_wrong_usage():
    with Relay(1, "af_packet") as lab:
        for words in (["--fast"], ["-c"], ["-c", lab.file("absent.yaml")], ["-c", lab.file("bad.yaml", "ports: [{ name: a }]\n")]):
            done = subprocess.run([PENSTOCK, "doctor", *words], capture_output=True, text=True, timeout=20)
            assert done.returncode == 2 and done.stderr and not done.stdout, (words, done)


def test_quick():
    """An examination takes well under a second: `run` makes one at each start."""
    with Relay(1, "af_xdp") as lab:
        started = time.monotonic()
        look(lab, lab.config(TRACK))
        assert time.monotonic() - started < 2

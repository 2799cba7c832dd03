"""Captures of a running forwarder, judged by tshark; what is forwarded meanwhile loses nothing."""
import json
import os
import re
import signal
import stat
import subprocess
from contextlib import contextmanager
from pathlib import Path

from cases import alone, cases
from judge import Capture
from lab import run, wait_for
from operators import Terminal
from relay import LAN, SOURCE, WAN, Relay, Sender, assert_ledger, receiver_address, wait_forwarded
from steady import Steady, leg, start, stream

NAMES = ("frame.comment", "frame.interface_name", "ip.src", "ip.dst", "udp.dstport", "rtp.seq", "udp.payload", "frame.packet_flags_direction")


def dissected(file, *ports):
    """A dictionary a packet, of what tshark reads in the file; it must find nothing wrong with it."""
    decode = [word for port in ports for word in ("-d", f"udp.port=={port},rtp")]
    wanted = [word for name in NAMES for word in ("-e", name)]
    lines = run("tshark", "-n", "-r", file, *decode, "-T", "fields", *wanted).splitlines()
    return [dict(zip(NAMES, line.split("\t"))) for line in lines]


def report(penstock, *words):
    """What `penstock cli --json capture ...` tells at the end; it must end well."""
    return json.loads(penstock.cli("--json", "capture", *map(str, words)))["captures"][0]


def last(penstock):
    return penstock.show("capture")["captures"][0]


@contextmanager
def waiting(lab, penstock, *words):
    """The one-shot form, which stays until the capture has ended; by now it runs."""
    out = lab.file(f"{Path(words[-1]).stem}.out")
    with open(out, "w") as output:
        client = subprocess.Popen(penstock.cli_command("capture", *map(str, words)), stdout=output, stderr=output)
        try:
            wait_for(lambda: "capturing" in out.read_text() or client.poll() is not None, "the capture to start")
            client.said = out.read_text
            yield client
        finally:
            client.kill()
            client.wait()


def assert_part_of(captured, sent):
    """They were sent one after another, none between them left out."""
    first = sent.index(captured[0])
    assert captured == sent[first:first + len(captured)], "a packet is missing or out of order in the capture"


@cases(driver=("af_xdp", "af_packet"))
def test_path_and_leg(driver):
    """A path as it was received and a leg as it leaves, to the count, while nothing of the stream is lost."""
    with Relay(2, driver) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1), leg(2)), stream("other", 20010, leg(1, 6010)))
        heard = Capture(lab.receivers[0], "eth0")
        with Steady(lab) as steady, Steady(lab, 20010, 2):
            file = lab.file("path.pcapng")
            told = report(penstock, "stream", "camera-1", "file", file, "count", 400, "path", 1)
            assert (told["packets"], told["state"], told["failed"], told["running"]) == (400, "count reached", False, False), told
            assert told["file"] == str(file) and told["bytes"] == file.stat().st_size and told["missed_by_rate"] == told["missed_by_ring"] == 0, told
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            packets = dissected(file, 20000)
            assert len(packets) == 400
            for packet in packets:
                assert packet["frame.comment"] == "stream camera-1, track video, path 1, worker 0", packet
                assert (packet["ip.src"], packet["ip.dst"], packet["udp.dstport"]) == (SOURCE[4], LAN[4], "20000"), packet
                assert packet["frame.interface_name"] == "lan" and packet["rtp.seq"], packet
            assert_part_of([packet["udp.payload"] for packet in packets], list(steady.sent))

            file = lab.file("leg.pcapng")
            said = penstock.cli("capture", "stream", "camera-1", "count", "300", "leg", "2", "file", str(file))
            assert f"capturing 300 packets of stream camera-1, leg {leg(2)} into {file}" in said and "reached" in said, said
            packets = dissected(file, 6000)
            assert len(packets) == 300
            for packet in packets:
                assert packet["frame.comment"] == f"stream camera-1, track video, leg {leg(2)}, worker 0", packet
                assert (packet["ip.src"], packet["ip.dst"], packet["udp.dstport"]) == (WAN[4], receiver_address(2), "6000"), packet
                assert packet["frame.interface_name"] == "wan" and packet["rtp.seq"], packet
            assert_part_of([packet["udp.payload"] for packet in packets], list(steady.sent))
            checked = run("tshark", "-n", "-r", file, "-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-T", "fields",
                          "-e", "udp.checksum.status", "-e", "ip.checksum.status").split()
            assert set(checked) == {"1"} and len(checked) == 600, set(checked)
            steady.go_on()
        wait_forwarded(penstock, len(steady.sent), stream="camera-1", leg=leg(1))
        assert heard.payloads(6000, to=receiver_address(1)) == steady.sent
        assert_ledger(penstock.metrics())


@cases(driver=("af_xdp", "af_packet"))
def test_drops(driver):
    """What is dropped, with its reason: of a stream, and of none."""
    with Relay(1, driver) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        file = lab.file("stream.pcapng")
        with waiting(lab, penstock, "stream", "camera-1", "drops", "count", 20, "file", file) as client:
            Sender(lab.source, LAN[4], 20000).send(50)
            wrong = Sender(lab.source, LAN[4], 20000, payload_type=33).send(12)
            Sender(lab.source, LAN[4], 25000).send(9)  # nobody's
            noise = lab.source.socket()
            for number in range(8):
                noise.sendto(bytes([0x17, 0xfe, 0xfd, number]) + bytes(20), (LAN[4], 20000))
            assert client.wait(10) == 0, client.said()
        packets = dissected(file)
        comments = [packet["frame.comment"] for packet in packets]
        who = "stream camera-1, track video, path 1, worker 0, dropped: "
        assert comments == [who + "rtp_payload_type"] * 12 + [who + "dtls"] * 8, comments
        assert [packet["udp.payload"] for packet in packets[:12]] == wrong.sent
        file = lab.file("all.pcapng")
        with waiting(lab, penstock, "drops", "count", 12, "file", file) as client:
            stray = Sender(lab.source, LAN[4], 25000).send(9)
            Sender(lab.source, LAN[4], 20000, payload_type=33).send(3)
            assert client.wait(10) == 0, client.said()
        packets = dissected(file)
        assert [packet["frame.comment"] for packet in packets] == ["no stream, worker 0, dropped: no_flow"] * 9 + [who + "rtp_payload_type"] * 3, packets
        assert [packet["udp.payload"] for packet in packets[:9]] == stray.sent
        assert_ledger(penstock.metrics())


def test_refused():
    """What cannot be captured, and where it cannot be written: said at once, and nothing else happens."""
    with Relay(1) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        heard = Capture(lab.receivers[0], "eth0")
        there = lab.file("there", "precious")
        link = lab.file("link")
        link.symlink_to(there)
        outside = lab.file("outside")
        with Steady(lab) as steady:
            for words, why in (("stream moon", "no stream 'moon'"), ("stream camera-1 leg 7", f"no leg 7; it has 1 ({leg(1)})"),
                               ("stream camera-1 path 2", "no path 2; it has 1"), ("stream camera-1 count 0", "count '0': a number from 1"),
                               ("stream camera-1 file x.pcapng", "a path from / on"), ("stream camera-1 path 1 drops", "one of them"),
                               ("stream camera-1 colour red", "'colour' is not understood"), ("drops leg 1", "a stream's"), ("stop", "no capture runs"),
                               ("stream", "incomplete"), (f"stream camera-1 file {there}", "is there already"), (f"stream camera-1 file {link}", "is there already"),
                               ("stream camera-1 file /dev/null", "is there already"), ("stream camera-1 file /proc/x.pcapng", "No such file"),
                               (f"stream camera-1 file {outside}/x.pcapng", "No such file")):
                code, _, errors = penstock.cli_exit("capture", *words.split())
                assert code == 1 and why in errors, (words, code, errors)
            code, out, errors = penstock.cli_exit("--json", "capture", "stream", "camera-1", "file", str(there))
            told = json.loads(out)["captures"][0]
            assert code == 1 and told["failed"] and "is there already" in told["state"] and "is there already" in errors, (code, out, errors)
            code, out, _ = penstock.cli_exit("--json", "capture", "stream", "moon")
            assert code == 1 and "no stream 'moon'" in json.loads(out)["error"], (code, out)
            assert there.read_text() == "precious"
            steady.go_on(0.1)
        wait_forwarded(penstock, len(steady.sent))
        assert heard.payloads(6000) == steady.sent


def test_disk_full():
    """The disk is full in the middle: the capture ends and says so, its file opens, operators and media do not notice."""
    with Relay(1) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        heard = Capture(lab.receivers[0], "eth0")
        tiny = lab.file("tiny")
        tiny.mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=128k", "none", tiny)
        lab.on_close(lambda: run("umount", "-l", tiny))
        file = tiny / "x.pcapng"
        with Steady(lab) as steady:
            code, out, errors = penstock.cli_exit("capture", "stream", "camera-1", "count", "5000", "file", str(file))
            assert code == 1 and "No space left on device" in errors and "No space left" in out, (code, out, errors)
            told = last(penstock)
            assert told["failed"] and not told["running"] and 100 < told["packets"] < 5000, told
            assert file.stat().st_size == told["bytes"] <= 128 * 1024, told
            assert_part_of([packet["udp.payload"] for packet in dissected(file)], list(steady.sent))
            assert len(dissected(file)) == told["packets"]
            wait_for(lambda: re.search(r"(?i)error.*capture 1: .*No space left", penstock.text()), "the log to tell of it")
            assert report(penstock, "stream", "camera-1", "count", 100, "file", lab.file("next.pcapng"))["packets"] == 100
            steady.go_on()
        wait_forwarded(penstock, len(steady.sent))
        assert heard.payloads(6000) == steady.sent
        assert_ledger(penstock.metrics())


def test_one_at_a_time():
    """One capture runs at a time. Who started it may stop it with Ctrl-C, hang or vanish; anyone may stop it."""
    with Relay(1) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        with Steady(lab) as steady:
            file = lab.file("interrupted.pcapng")
            with waiting(lab, penstock, "stream", "camera-1", "count", 1000000, "file", file) as client:
                wait_for(lambda: last(penstock)["packets"] > 100, "a hundred packets")
                code, _, errors = penstock.cli_exit("capture", "drops")
                assert code == 1 and "one at a time" in errors and str(file) in errors, errors
                client.send_signal(signal.SIGINT)
                assert client.wait(10) == 0, client.said()
                assert "stopped" in client.said(), client.said()
            told = last(penstock)
            assert (told["state"], told["running"], told["failed"]) == ("stopped", False, False), told
            assert len(dissected(file)) == told["packets"] > 100

            for how in (signal.SIGSTOP, signal.SIGKILL):
                file = lab.file(f"left-{how.name}.pcapng")
                with waiting(lab, penstock, "stream", "camera-1", "leg", leg(1), "count", 1000000, "file", file) as client:
                    client.send_signal(how)
                    wait_for(lambda: last(penstock)["packets"] > 100, "it to go on")
                    assert "stopped" in penstock.cli("capture", "stop")
                    assert not last(penstock)["running"] and len(dissected(file)) == last(penstock)["packets"]

            # By default: 1000 packets into a new file in /var/tmp.
            told = report(penstock, "stream", "camera-1")
            default = told["file"]
            lab.on_close(lambda: os.path.exists(default) and os.unlink(default))
            assert re.fullmatch(r"/var/tmp/penstock-camera-1-\d{8}T\d{6}Z\.pcapng", default) and told["packets"] == 1000, told
            assert len(dissected(default)) == 1000

            # At the prompt it does not wait; what fails at once is said.
            terminal = Terminal(lab, penstock)
            terminal.type(f"capture stream camera-1 file {default}\n")
            terminal.expect("capturing", "is there already", "penstock> ")
            terminal.type(f"capture str\t camera-1 count 1000000 file {lab.file('prompt.pcapng')}\n")
            terminal.expect("capturing", "penstock> ")
            assert last(penstock)["running"]
            terminal.type("capture stop\n")
            terminal.expect("stops", "penstock> ")
            wait_for(lambda: last(penstock)["state"] == "stopped", "it to stop")
            steady.go_on(0.1)
        wait_forwarded(penstock, len(steady.sent))
        assert penstock.metrics().sum("penstock_path_lost_packets_total") == 0
        assert_ledger(penstock.metrics())
        # A capture that runs does not hold the end up.
        with waiting(lab, penstock, "stream", "camera-1", "file", lab.file("end.pcapng")):
            assert penstock.stop(signal.SIGTERM) == 0, penstock.text()
        assert dissected(lab.file("end.pcapng")) == []


def test_killed():
    """penstock is killed in the middle: what it had captured opens."""
    with Relay(1) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        file = lab.file("killed.pcapng")
        with Steady(lab) as steady, waiting(lab, penstock, "stream", "camera-1", "count", 1000000, "file", file) as client:
            wait_for(lambda: last(penstock)["packets"] > 500, "five hundred packets")
            penstock.stop(signal.SIGKILL)
            assert client.wait(10) == 1 and "penstock has gone" in client.said(), client.said()
        packets = dissected(file)
        assert len(packets) > 500
        assert_part_of([packet["udp.payload"] for packet in packets], steady.sent)


@alone
@cases(driver=("af_xdp", "af_packet"))
def test_full_rate(driver):
    """Ten thousand packets as fast as they come, captured as they come in: none is lost to the receiver, and the rate is kept."""
    with Relay(1, driver) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        heard = Capture(lab.receivers[0], "eth0")
        file = lab.file("slow.pcapng")
        with waiting(lab, penstock, "stream", "camera-1", "rate", 500, "count", 1000000, "file", file) as client:
            sender = Sender(lab.source, LAN[4], 20000).send(10000, 1000, per_second=8000)
            wait_forwarded(penstock, 10000)
            client.send_signal(signal.SIGINT)
            assert client.wait(10) == 0, client.said()
        told = last(penstock)
        assert told["packets"] + told["missed_by_rate"] + told["missed_by_ring"] == 10000, told
        assert 100 < told["packets"] < 8000 and told["missed_by_ring"] == 0, told
        assert len(dissected(file)) == told["packets"]
        wait_for(lambda: f"missed {told['missed_by_rate']} by the rate" in penstock.text(), "the log to tell of it")
        file = lab.file("whole.pcapng")
        with waiting(lab, penstock, "stream", "camera-1", "leg", "1", "rate", 100000, "count", 10000, "file", file) as client:
            sender.send(10000, 1000, per_second=8000)
            wait_forwarded(penstock, 20000)
            client.send_signal(signal.SIGINT)  # in case some were missed
            assert client.wait(10) == 0, client.said()
        told = last(penstock)
        assert told["packets"] + told["missed_by_ring"] == 10000, told  # a slow disk may cost some here
        assert len(dissected(file)) == told["packets"] > 5000
        assert heard.payloads(6000) == sender.sent
        assert_ledger(penstock.metrics())

"""A running forwarder is changed by the CLI: media that a change does not touch loses nothing, judged by the payloads that arrive."""
import json
import signal

from cases import cases
from groups import memberships
from judge import Capture
from lab import wait_for
from relay import LAN, Relay, Sender, assert_ledger, endpoint, receiver_address, wait_forwarded, wait_legs
from steady import Steady, config, leg, listener, start, stream, wait_silence


@cases(driver=("af_xdp", "af_packet"))
def test_outputs(driver):
    """An output is added and deleted under way; the other receiver does not notice."""
    with Relay(2, driver) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        untouched = Capture(lab.receivers[0], "eth0")
        second = listener(lab, 2)
        with Steady(lab) as steady:
            said = penstock.cli("add", "output", "camera-1", f"rtp://{leg(2)}?ttl=9")
            assert "added" in said and leg(2) in said, said
            assert second.recv(2000)  # within a second
            legs = penstock.show("stream camera-1")["legs"]
            assert [row["leg"] for row in legs] == [leg(1), leg(2)], legs
            for wrong, why in ((f"add output camera-1 rtp://{leg(2)}", "already"), (f"add output moon rtp://{leg(2)}", "no stream 'moon'"),
                               (f"add output camera-1 rtp://{endpoint(LAN[4], 20000)}", "loop"), ("add output camera-1 rtp://nowhere", "nowhere"),
                               (f"del output camera-1 rtp://{leg(1, 7000)}", "no output"), ("fly", "'fly' is not understood")):
                code, out, errors = penstock.cli_exit(*wrong.split())
                assert code == 1 and why in errors and not out, (wrong, code, out, errors)
                code, out, errors = penstock.cli_exit("--json", *wrong.split())
                assert code == 1 and why in json.loads(out)["error"], (wrong, code, out, errors)
            assert "deleted" in penstock.cli("del", "output", "camera-1", f"rtp://{leg(2)}")
            wait_silence(second)
            steady.go_on()
        wait_forwarded(penstock, len(steady.sent), leg=leg(1))
        assert untouched.payloads(6000, to=receiver_address(1)) == steady.sent
        assert_ledger(penstock.metrics())


@cases(driver=("af_xdp", "af_packet"))
def test_streams(driver):
    """A stream is added by one line, carries media, and is deleted again; the other stream does not notice."""
    with Relay(2, driver) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        heard = [Capture(receiver, "eth0") for receiver in lab.receivers]
        tracks = (f"{{tracks: [{{media: video, payload_type: 96, encoding: H264/90000, sources: [{{rtp: \"{endpoint(LAN[4], 21000)}\"}}], "
                  f"outputs: [{{rtp: \"{leg(2)}\"}}]}}]}}")
        with Steady(lab) as steady:
            assert "added" in penstock.cli("add", "stream", "late", tracks)
            code, _, errors = penstock.cli_exit("add", "stream", "late", tracks)
            assert code == 1 and "there already" in errors, errors
            code, _, errors = penstock.cli_exit("add", "stream", "again", tracks)
            assert code == 1 and "stream 'late' has it" in errors, errors
            code, _, errors = penstock.cli_exit("add", "stream", "torn", "{tracks: [")
            assert code == 1 and "column" in errors, errors
            wait_legs(penstock, 2)
            late = Sender(lab.source, LAN[4], 21000, ssrc=0x1a7e).send(300)
            wait_forwarded(penstock, 300, stream="late")
            assert {row["stream"]: row["packets"] for row in penstock.show("stream all")["streams"]}["late"] == 300
            assert "deleted" in penstock.cli("del", "stream", "late")
            code, _, errors = penstock.cli_exit("show", "stream", "late")
            assert code == 1 and "no stream 'late'" in errors, errors
            assert not penstock.metrics().named("penstock_path_packets_total", stream="late")
            before = len(late.sent)
            steady.go_on(0.1)  # the new table is in force
            late.send(50)
            wait_for(lambda: penstock.metrics().drops().get("no_flow", 0) >= 50 or driver == "af_packet", "the rest to be no one's")
            steady.go_on()
        wait_forwarded(penstock, len(steady.sent), stream="camera-1")
        assert heard[0].payloads(6000, to=receiver_address(1)) == steady.sent
        assert heard[1].payloads(6000, to=receiver_address(2)) == late.sent[:before]
        assert_ledger(penstock.metrics())


def test_deleted_before_the_start():
    """A stream goes while its next hop is still waited for: the start does not ask for it any more."""
    with Relay(1) as lab:
        penstock = lab.start_penstock(lab.node, config(lab, stream("camera-1", 20000, leg(9)), stream("camera-2", 20010, leg(1))), ready=False)
        wait_for(penstock.socket.exists, "the control socket", 10, every=0.005)
        assert "deleted" in penstock.cli("del", "stream", "camera-1")
        penstock.wait_ready()
        wait_legs(penstock, 1)
        assert penstock.stop(signal.SIGTERM) == 0, penstock.text()


@cases(driver=("af_xdp", "af_packet"))
def test_group(driver):
    """The group of a stream that is added is joined, and left when the last stream that needs it goes."""
    with Relay(1, driver) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        group = "239.1.1.7"
        heard = Capture(lab.receivers[0], "eth0")

        def add(name, port):
            track = f"media: video, payload_type: 96, encoding: H264/90000, sources: [{{rtp: \"{group}:{port}\", port: lan}}]"
            penstock.cli("add", "stream", name, f"{{tracks: [{{{track}, outputs: [{{rtp: \"{leg(1, port)}\"}}]}}]}}")
        assert group not in memberships(lab.node, 4)
        add("one", 5004)
        wait_for(lambda: group in memberships(lab.node, 4), "the group to be joined")
        add("two", 5010)
        wait_legs(penstock, 3)
        senders = {port: Sender(lab.source, group, port).send(60) for port in (5004, 5010)}
        wait_forwarded(penstock, 60, stream="one")
        wait_forwarded(penstock, 60, stream="two")
        penstock.cli("add", "output", "one", f"rtp://{leg(1, 5020)}")  # the track is made anew: still a member
        penstock.cli("del", "stream", "one")
        assert group in memberships(lab.node, 4)
        penstock.cli("del", "stream", "two")
        wait_for(lambda: group not in memberships(lab.node, 4), "the group to be left")
        for port, sender in senders.items():
            assert heard.payloads(port, to=receiver_address(1)) == sender.sent

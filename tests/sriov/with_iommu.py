"""A virtual function behind an emulated IOMMU: start, the twin, media, VLAN, groups, and all that can happen to the function."""
import socket
import time

from bed import MAC, NODE, OTHER, OUTSIDE, PF, RSS, VF, VLAN, Bed, relay, streams
from judge import Capture
from relay import Sender, assert_ledger

# As in a pod, whose network plug-in has no interface that it could give the address to.
VFIO = f"{{ name: wan, driver: pci, device: DEVICE, addresses: [{NODE}/24] }}"
GROUP = "239.9.9.9"
INSIDE = "10.9.2.2"
RSS_PORT = f"{{ name: wan, driver: pci, device: {RSS}, queues: 1, addresses: [{INSIDE}/24] }}"
OUTPUTS = [f"{OUTSIDE}:6000", f"{OUTSIDE}:6100"]
CONFIG = relay([f"{NODE}:20000", f'{{ rtp: "{GROUP}:5004", port: wan }}'], OUTPUTS, VFIO).replace("DEVICE", VF)
# As the SR-IOV device plugin has it.
PLUGIN = CONFIG.replace(VF, '"${PCIDEVICE_INTEL_COM_SRIOV}"'), f"PCIDEVICE_INTEL_COM_SRIOV={VF}"
TCP_BYTES = 8_000_000


def boot():
    return Bed("iommu", [("wire1", "igb"), ("wire2", "igb")])


def prepare(bed):
    bed.guest.run(f"""
        echo 0 > /sys/bus/pci/devices/{PF}/sriov_drivers_autoprobe
        ip link set "$(netdev {PF})" up
        echo 3 > /sys/bus/pci/devices/{PF}/sriov_numvfs
        ip link set "$(netdev {PF})" vf 0 mac {MAC}
        wait_for 20 is_up "$(netdev {PF})"
        bind {VF} vfio-pci
        bind {RSS} vfio-pci""", seconds=90)


def physical_function(bed, state):
    """Down, or up and with a link."""
    bed.guest.run(f"""I=$(netdev {PF}); ip link set "$I" {state}; {'wait_for 20 is_up "$I"' if state == "up" else ""}""", seconds=60)


def test_unbound_device_is_refused_in_words(bed):
    if bed.running():
        bed.stop()
    bed.guest.run(f"bind {VF} igbvf", seconds=60)
    try:
        bed.start(CONFIG, ready=False)
        bed.wait_for(lambda: not bed.running(), "penstock to refuse")
    finally:
        bed.guest.run(f"bind {VF} vfio-pci", seconds=60)
    text = bed.text()
    assert f"{VF} is bound to igbvf" in text and f"dpdk-devbind.py --bind=vfio-pci {VF}" in text, text


def test_starts_by_the_variable_of_the_device_plugin(bed):
    bed.start(*PLUGIN)
    port = bed.show("port info wan")["ports"][0]
    assert port["driver"] == "net_e1000_igb_vf" and port["state"] == "up" and port["mac"] == MAC, port
    assert port["device"] == f"{VF} 8086:10ca, virtual function" and "MULTI_SEGS" in port["offloads"], port
    assert f"link/ether {MAC}" in bed.guest.run("ip link show wan"), "the twin has another MAC address than its NIC"


def test_twin_answers_ping(bed):
    bed.serve(*PLUGIN)
    bed.wait_ping("by the twin")
    assert MAC in bed.outside.ip("neigh", "show", NODE), "ARP was not answered by the twin"


def test_twin_carries_rtsp(bed):
    bed.serve(*PLUGIN).wait_ping("by the twin")
    said = bed.outside.run("curl", "-s", "-i", "-m", "30", f"rtsp://{NODE}/camera-1")  # asks for OPTIONS
    assert "RTSP/1.0 200 OK" in said and "DESCRIBE" in said, said
    line = bed.outside.socket(kind=socket.SOCK_STREAM)
    line.settimeout(30)
    line.connect((NODE, 554))
    line.sendall(f"DESCRIBE rtsp://{NODE}/camera-1 RTSP/1.0\r\nCSeq: 2\r\nAccept: application/sdp\r\n\r\n".encode())
    said = ""
    while "a=rtpmap:96 H264/90000" not in said:
        more = line.recv(4096).decode()
        assert more, said
        said += more
    line.close()


def test_media_is_replicated(bed):
    bed.serve(*PLUGIN)
    bed.forwards(200)


def test_group_arrives(bed):
    bed.serve(*PLUGIN)
    bed.guest.run(f"ip maddress show dev wan | grep -q {GROUP}")
    bed.outside.ip("route", "replace", f"{GROUP}/32", "dev", "wire1")
    bed.forwards(200, GROUP, 5004)


def test_function_comes_back_with_its_physical_function(bed):
    bed.serve(*PLUGIN)
    physical_function(bed, "down")
    try:
        bed.wait_for(lambda: "the NIC has no link" in bed.text(), "the link to be seen down")
        bed.wait_for(lambda: "NO-CARRIER" in bed.guest.run("ip link show wan"), "the twin to lose its carrier")
    finally:
        physical_function(bed, "up")
    bed.wait_ping("after the physical function came back")
    bed.wait_ready()
    bed.forwards(50)


def test_function_comes_back_after_a_bounce(bed):
    """Down and up again in one process, as short as can be had: a link is looked at ten times a second only."""
    bed.serve(*PLUGIN)
    bed.wait_ping("before")
    seen = bed.text().count("the NIC has no link")
    bed.guest.run(f"""I=$(netdev {PF}); printf 'link set %s down\\nlink set %s up\\n' "$I" "$I" | ip -batch - ; wait_for 20 is_up "$I" """, seconds=60)
    bed.wait_ping("after the physical function was down for a moment")
    bed.wait_ready()
    bed.forwards(50)
    assert bed.text().count("the NIC has no link") > seen, bed.text()


def test_function_that_is_opened_while_its_physical_function_is_down(bed):
    """Its driver goes on as if it had been opened, with a MAC address of its own invention: that is said, and mended when it is up."""
    if bed.running():
        bed.stop()
    physical_function(bed, "down")
    try:
        bed.start(CONFIG)
        assert "a virtual function was given no MAC address" in bed.text(), bed.text()
        invented = bed.show("port info wan")["ports"][0]["mac"]
    finally:
        physical_function(bed, "up")
    bed.wait_for(lambda: bed.show("port info wan")["ports"][0]["mac"] == MAC, "the function's own MAC address")
    bed.wait_ping("after the physical function came up")
    bed.wait_ready()
    bed.forwards(50)
    return f"{invented} until then"


def test_function_that_is_taken_away_comes_back_with_another_mac(bed):
    other = MAC[:-2] + "77"
    bed.serve(*PLUGIN)
    bed.guest.run(f"""
        echo 0 > /sys/bus/pci/devices/{PF}/sriov_numvfs
        echo 3 > /sys/bus/pci/devices/{PF}/sriov_numvfs
        ip link set "$(netdev {PF})" vf 0 mac {other}
        bind {VF} vfio-pci""", seconds=90)
    try:
        bed.wait_for(lambda: bed.show("port info wan")["ports"][0]["mac"] == other, "the port with the new MAC address")
        assert f"link/ether {other}" in bed.guest.run("ip link show wan")
        bed.wait_ping("at the new MAC address")
        assert other in bed.outside.ip("neigh", "show", NODE)
    finally:
        bed.guest.run(f"""ip link set "$(netdev {PF})" vf 0 mac {MAC}""")  # from the next start on


def test_kill_and_restart(bed):
    bed.serve(CONFIG)
    bed.stop("KILL")
    assert "wan" not in bed.guest.run("ip -br link"), "a killed penstock left its twin behind"
    bed.start(CONFIG)
    bed.wait_ping("after kill -9 and restart")


def test_term_removes_the_twin(bed):
    bed.serve(CONFIG)
    bed.stop("TERM")
    assert "wan" not in bed.guest.run("ip -br link")
    assert "stopping" in bed.text()


def test_vlan_in_and_out(bed):
    bed.start(relay([f'{{ rtp: "{NODE}:20000", vlan: {VLAN} }}'], [f'{{ rtp: "{OUTSIDE}:6000", vlan: {VLAN} }}', f"{OUTSIDE}:6100"],
                    VFIO).replace("DEVICE", VF))
    bed.wait_legs(2)
    heard = Capture(bed.outside, "wire1")
    sent = bed.send_tagged(50, VLAN)
    bed.wait_for(lambda: bed.metrics().sum("penstock_leg_packets_total") >= 100, "50 packets on each leg")
    assert heard.payloads(6000, vlan=str(VLAN)) == sent and heard.payloads(6100, vlan="") == sent
    bed.stop()


def test_port_vlan_of_the_physical_function(bed):
    """The function does not see it: the NIC takes the tag off and puts it on."""
    bed.guest.run(f"""ip link set "$(netdev {PF})" vf 0 vlan {VLAN}""")
    try:
        bed.start(relay([f"{NODE}:20000"], OUTPUTS, VFIO).replace("DEVICE", VF))
        bed.guest.run(f"ip neigh replace {OUTSIDE} lladdr {bed.outside.mac('wire1')} dev wan")
        bed.wait_legs(2)
        heard = Capture(bed.outside, "wire1")
        sent = bed.send_tagged(50, VLAN)
        bed.send_tagged(5, VLAN + 1)
        bed.wait_for(lambda: bed.metrics().sum("penstock_leg_packets_total") >= 100, "50 packets on each leg")
        for port in (6000, 6100):
            assert heard.payloads(port, vlan=str(VLAN)) == sent == heard.payloads(port), "copies without the tag"
        bed.stop()
    finally:
        bed.guest.run(f"""ip link set "$(netdev {PF})" vf 0 vlan 0""")


def test_two_queues_of_a_function(bed):
    """The kernel's igb spreads nothing over them: the first has it all, and the second may not lose any."""
    bed.start(CONFIG.replace(f"device: {VF}", f"device: {VF}, queues: 2"))
    assert bed.show("port info wan")["ports"][0]["rx_queues"] == 2
    bed.forwards(100)
    bed.stop()


def test_queues_of_a_physical_function(bed):
    """RSS over two queues of as many workers; what comes to another's is handed over, or guided to its own by the NIC."""
    bed.outside.ip("address", "replace", "10.9.2.1/24", "dev", "wire2")
    config = relay([f"{INSIDE}:20000"], ["10.9.2.1:6000", "10.9.2.1:6100"], RSS_PORT.replace("queues: 1", "queues: 2"))
    bed.start(config.replace("memory:", "workers: { cores: [0, 1] }\nmemory:"))
    port = bed.show("port info wan")["ports"][0]
    assert port["driver"] == "net_e1000_igb" and "physical" not in port["device"] and port["rx_queues"] == 2, port
    bed.wait_legs(2)
    heard = Capture(bed.outside, "wire2")
    sent = []
    for _ in range(16):  # of so many ports, each hashed to a queue
        sent += Sender(bed.outside, INSIDE, 20000, first=bed.sequence).send(10, per_second=1000).sent
        bed.sequence += 10
    bed.wait_for(lambda: bed.metrics().sum("penstock_leg_packets_total") >= 2 * len(sent), "every packet on each leg")
    for leg in (6000, 6100):  # what two queues brought keeps no order
        assert sorted(heard.payloads(leg)) == sorted(sent)
    metrics = bed.metrics()
    assert_ledger(metrics)
    by_worker = [int(count) for _, count in metrics.named("penstock_worker_rx_packets_total")]
    handed = int(metrics.sum("penstock_worker_consumed_packets_total", **{"as": "handed_over"}))
    assert min(by_worker) > 0, by_worker
    bed.stop()
    return f"{by_worker} packets by worker, {handed} handed over, {port['flow_rules']} flow rules taken"


def test_more_groups_than_can_be_named(bed):
    """All of them arrive; and a group that nobody wants does not, before and after. On a NIC without functions, since the emulated one
    lets no multicast in to a function that asks for all."""
    def multicast():
        return bed.show("port info wan")["ports"][0]["multicast"]

    def legs():
        return bed.metrics().sum("penstock_leg_packets_total")

    def arrives_unwanted():
        """Whether the NIC lets in packets for a group that is not joined: it counts what it hands on."""
        received, sent = bed.received(), legs()
        Sender(bed.outside, "239.8.8.8", 5004).send(20)
        Sender(bed.outside, groups[0], 5004, first=bed.sequence).send(20)
        bed.sequence += 20
        bed.wait_for(lambda: legs() >= sent + 20, "the group that is wanted")
        return bed.received() - received >= 40

    groups = [f"239.9.8.{number}" for number in range(1, 42)]
    bed.outside.ip("address", "replace", "10.9.2.1/24", "dev", "wire2")
    bed.outside.ip("route", "replace", "239.0.0.0/8", "dev", "wire2")
    few, many = (streams([(f'{{ rtp: "{group}:5004", port: wan }}', f"10.9.2.1:{6000 + 2 * number}") for number, group in enumerate(list_)],
                         RSS_PORT) for list_ in (groups[:3], groups))
    bed.start(few)
    bed.wait_legs(3)
    by_name = multicast()
    assert by_name.endswith(" by name") and not arrives_unwanted(), by_name
    bed.reload(many)
    bed.wait_for(lambda: multicast().startswith("all: "), "all multicast")
    bed.wait_legs(len(groups))
    heard = Capture(bed.outside, "wire2")
    before = legs()
    sent = [Sender(bed.outside, group, 5004, first=bed.sequence).send(5, per_second=500).sent for group in groups]
    bed.sequence += 5
    bed.wait_for(lambda: legs() >= before + 5 * len(groups), "each group")
    wrong = [group for number, group in enumerate(groups) if heard.payloads(6000 + 2 * number) != sent[number]]
    assert not wrong, f"not all of {wrong}"
    assert arrives_unwanted() and "are wanted, 30 can be named" in bed.text()
    bed.reload(few)
    bed.wait_for(lambda: multicast() == by_name, "multicast by name again")
    assert not arrives_unwanted()
    bed.stop()
    bed.outside.ip("route", "del", "239.0.0.0/8")


def test_tcp_through_the_twin(bed):
    """Its rate beside that of the kernel's own driver on another function of the same NIC: the emulation is the limit."""
    def rate(address):
        bed.guest.run("nc -l -p 5001 > /dev/null 2>&1 & sleep 0.3")
        started = time.monotonic()
        bed.outside.run("sh", "-c", f"head -c {TCP_BYTES} /dev/zero | ncat --send-only -w 60 {address} 5001")
        return TCP_BYTES * 8 / 1e6 / (time.monotonic() - started)

    def kernel():
        bed.guest.run(f"""V=$(vf {PF} 1); bind "$V" igbvf; N=$(netdev "$V"); ip address add {OTHER}/24 dev "$N"; ip link set "$N" up
            wait_for 20 is_up "$N" """, seconds=60)
        bed.outside.ip("address", "replace", "10.9.1.1/24", "dev", "wire1")
        bed.wait_for(lambda: bed.answers_ping(OTHER), "an answer to ping by the kernel's driver")
        return rate(OTHER)

    bed.start(CONFIG)
    bed.wait_ping("by the twin")
    twin, own = rate(NODE), kernel()
    bed.stop()
    return f"{twin:.0f} Mbit/s through the twin, {own:.0f} Mbit/s by the kernel's igbvf in the same guest"

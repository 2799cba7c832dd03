"""A virtual function behind an emulated IOMMU: start, the twin, media, VLAN, groups, and all that can happen to the function."""
import socket
import time

from bed import MAC, NODE, OTHER, OUTSIDE, PF, VF, VLAN, Bed, relay
from judge import Capture

VFIO = "{ name: wan, driver: pci, device: DEVICE }"
GROUP = "239.9.9.9"
OUTPUTS = [f"{OUTSIDE}:6000", f"{OUTSIDE}:6100"]
CONFIG = relay([f"{NODE}:20000", f'{{ rtp: "{GROUP}:5004", port: wan }}'], OUTPUTS, VFIO).replace("DEVICE", VF)
TCP_BYTES = 8_000_000


def boot():
    bed = Bed("iommu", [("wire1", "igb")])
    bed.guest.run(f"""
        echo 0 > /sys/bus/pci/devices/{PF}/sriov_drivers_autoprobe
        ip link set "$(netdev {PF})" up
        echo 3 > /sys/bus/pci/devices/{PF}/sriov_numvfs
        ip link set "$(netdev {PF})" vf 0 mac {MAC}
        wait_for 20 is_up "$(netdev {PF})" """, seconds=60)
    return bed


def test_unbound_device_is_refused_in_words(bed):
    bed.guest.run(f"bind {VF} igbvf", seconds=60)
    bed.start(CONFIG, ready=False)
    bed.wait_for(lambda: not bed.running(), "penstock to refuse")
    text = bed.text()
    assert f"{VF} is bound to igbvf" in text and f"dpdk-devbind.py --bind=vfio-pci {VF}" in text, text
    bed.guest.run(f"bind {VF} vfio-pci", seconds=60)


def test_starts_by_the_variable_of_the_device_plugin(bed):
    bed.start(CONFIG.replace(VF, '"${PCIDEVICE_INTEL_COM_SRIOV}"'), environment=f"PCIDEVICE_INTEL_COM_SRIOV={VF}").twin()
    port = bed.show("port info wan")["ports"][0]
    assert port["driver"] == "net_e1000_igb_vf" and port["state"] == "up" and port["mac"] == MAC, port
    assert port["device"] == f"{VF} 8086:10ca, virtual function" and "MULTI_SEGS" in port["offloads"], port
    assert f"link/ether {MAC}" in bed.guest.run("ip link show wan"), "the twin has another MAC address than its NIC"


def test_twin_answers_ping(bed):
    bed.wait_ping("by the twin")
    assert MAC in bed.outside.ip("neigh", "show", NODE), "ARP was not answered by the twin"


def test_twin_carries_rtsp(bed):
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
    bed.forwards(200)


def test_group_arrives(bed):
    bed.guest.run(f"ip maddress show dev wan | grep -q {GROUP}")
    bed.outside.ip("route", "replace", f"{GROUP}/32", "dev", "wire1")
    bed.forwards(200, GROUP, 5004)


def test_function_comes_back_with_its_physical_function(bed):
    bed.guest.run(f"""I=$(netdev {PF}); ip link set "$I" down; sleep 2""")
    bed.wait_for(lambda: "the NIC has no link" in bed.text(), "the link to be seen down")
    assert "state DOWN" in bed.guest.run("ip link show wan") or "NO-CARRIER" in bed.guest.run("ip link show wan"), "the twin has a carrier still"
    bed.guest.run(f"""I=$(netdev {PF}); ip link set "$I" up; wait_for 20 is_up "$I" """, seconds=60)
    bed.wait_ping("after the physical function came back")
    bed.wait_ready()
    bed.forwards(50)


def test_function_that_is_taken_away_comes_back_with_another_mac(bed):
    other = MAC[:-2] + "77"
    bed.guest.run(f"""
        echo 0 > /sys/bus/pci/devices/{PF}/sriov_numvfs
        echo 3 > /sys/bus/pci/devices/{PF}/sriov_numvfs
        ip link set "$(netdev {PF})" vf 0 mac {other}
        bind {VF} vfio-pci""", seconds=90)
    bed.wait_for(lambda: bed.show("port info wan")["ports"][0]["mac"] == other, "the port with the new MAC address")
    assert f"link/ether {other}" in bed.guest.run("ip link show wan")
    bed.wait_ping("at the new MAC address")
    assert other in bed.outside.ip("neigh", "show", NODE)


def test_kill_and_restart(bed):
    bed.stop("KILL")
    assert "wan" not in bed.guest.run("ip -br link"), "a killed penstock left its twin behind"
    bed.start(CONFIG).twin()
    bed.wait_ping("after kill -9 and restart")


def test_term_removes_the_twin(bed):
    bed.stop("TERM")
    assert "wan" not in bed.guest.run("ip -br link")
    assert "stopping" in bed.text()


def test_vlan_in_and_out(bed):
    bed.start(relay([f'{{ rtp: "{NODE}:20000", vlan: {VLAN} }}'], [f'{{ rtp: "{OUTSIDE}:6000", vlan: {VLAN} }}', f"{OUTSIDE}:6100"],
                    VFIO).replace("DEVICE", VF)).twin()
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
        bed.start(relay([f"{NODE}:20000"], OUTPUTS, VFIO).replace("DEVICE", VF)).twin()
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

    bed.start(CONFIG).twin()
    bed.wait_ping("by the twin")
    twin, own = rate(NODE), kernel()
    bed.stop()
    return f"{twin:.0f} Mbit/s through the twin, {own:.0f} Mbit/s by the kernel's igbvf in the same guest"

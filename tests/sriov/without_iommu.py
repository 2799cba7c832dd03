"""A machine without an IOMMU: a virtual function in vfio's no-IOMMU mode; and a virtio NIC that stays with the kernel, by
native XDP and AF_XDP."""
from bed import MAC, NODE, OUTSIDE, PF, VF, Bed, relay
from lab import Skip

VIRTIO = "0000:02:00.0"
OUTPUTS = [f"{OUTSIDE}:6000", f"{OUTSIDE}:6100"]
SWITCH = "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
PORT = f"{{ name: wan, driver: pci, device: {VF}, addresses: [{NODE}/24] }}"


def boot():
    return Bed("no-iommu", [("wire1", "igb"), ("wire2", "virtio-net-pci")], iommu=False)


def prepare(bed):
    bed.guest.run(f"""
        echo 0 > /sys/bus/pci/devices/{PF}/sriov_drivers_autoprobe
        ip link set "$(netdev {PF})" up
        echo 1 > /sys/bus/pci/devices/{PF}/sriov_numvfs
        ip link set "$(netdev {PF})" vf 0 mac {MAC}
        wait_for 20 is_up "$(netdev {PF})" """, seconds=60)


def test_doctor_says_how_to_go_without_an_iommu(bed):
    bed.guest.write("/run/penstock.yaml", relay([f"{NODE}:20000"], OUTPUTS, PORT))
    code, text = bed.guest.run("penstock doctor --json -c /run/penstock.yaml", check=False, seconds=60)
    way = "enable_unsafe_noiommu_mode" if bed.guest.run(f"test -e {SWITCH}", check=False)[0] == 0 else "CONFIG_VFIO_NOIOMMU"
    assert code == 1 and way in text, text


def test_function_without_an_iommu(bed):
    if bed.guest.run(f"test -e {SWITCH}", check=False)[0]:
        raise Skip("the kernel is built without CONFIG_VFIO_NOIOMMU")
    bed.guest.run(f"echo 1 > {SWITCH}; bind {VF} vfio-pci", seconds=60)
    bed.start(relay([f"{NODE}:20000"], OUTPUTS, PORT))
    bed.wait_ping("by the twin")
    bed.forwards(100)
    bed.guest.run(f"""I=$(netdev {PF}); ip link set "$I" down; sleep 2; ip link set "$I" up; wait_for 20 is_up "$I" """, seconds=60)
    bed.wait_ping("after the physical function came back")
    bed.stop()


def test_native_xdp_on_virtio(bed):
    interface = bed.guest.run(f"netdev {VIRTIO}").strip()
    bed.guest.run(f"ip link set {interface} up; ip address replace {NODE}/24 dev {interface}")
    bed.outside.ip("address", "flush", "dev", "wire1")
    bed.outside.ip("address", "replace", f"{OUTSIDE}/24", "dev", "wire2")
    bed.outside.ip("neigh", "flush", "all")
    bed.start(relay([f"{NODE}:20000"], OUTPUTS, f"{{ name: wan, driver: af_xdp, interface: {interface}, mode: native }}"))
    bed.wait_ping("by the kernel beside XDP")
    bed.forwards(100, wire="wire2")
    port = bed.show("port info wan")["ports"][0]
    assert "native" in port["mode"], port
    bed.stop()
    return f"{port['mode']}; {port['zero_copy']}"

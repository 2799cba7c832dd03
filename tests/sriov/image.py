"""The guest's root: an initramfs of this machine's own programs, with penstock and the DPDK drivers that the guest can use."""
import lzma
import os
import re
import shutil
import subprocess
from pathlib import Path

from lab import PENSTOCK, Skip
from machine import MULTIARCH, PLACE

HERE = Path(__file__).resolve().parent
# In this order, each after those that it names as its own needs.
MODULES = ("virtio_pci", "virtio_console", "virtio_net", "tun", "8021q", "vfio_iommu_type1", "vfio-pci", "igb", "igbvf")
# DPDK opens every driver in its folder at start, which is slow when emulated.
DRIVERS = ("bus_pci", "bus_vdev", "mempool_ring", "net_af_packet", "net_af_xdp", "net_e1000", "net_tap", "net_virtio")
# Others are busybox's; dash, because busybox's own shell runs its applets instead of the programs of that name.
PROGRAMS = ("dash", "ip", "ethtool")


def _modules(root):
    """Copies them, in the order in which they can be loaded, and writes that order down."""
    files = {path.name.split(".ko")[0].replace("-", "_"): path for path in (PLACE / "kernel/lib/modules").rglob("*.ko*")}
    order = []

    def add(name):
        name = name.replace("-", "_")
        if name in order or name not in files:  # built in
            return
        raw = files[name].read_bytes()
        raw = lzma.decompress(raw) if files[name].suffix == ".xz" else raw
        needs = re.search(rb"\0depends=([^\0]*)\0", raw)
        for other in filter(None, needs[1].decode().split(",") if needs else []):
            add(other)
        (root / "modules" / f"{name}.ko").write_bytes(raw)
        order.append(name)

    (root / "modules").mkdir()
    for name in MODULES:
        add(name)
    (root / "modules/order").write_text("\n".join(order) + "\n")


def _libraries(root, programs):
    """What the dynamic linker will look for, where it will look."""
    for program in programs:
        for library in re.findall(r"(/\S+\.so\S*) \(0x|=> (/\S+)", subprocess.run(["ldd", program], capture_output=True, text=True).stdout):
            path = Path(library[0] or library[1])
            place = root / ("usr/lib64" if path.name.startswith("ld-linux") else f"usr/lib/{MULTIARCH}") / path.name
            if not place.exists():
                shutil.copy(path, place)


def build():
    """Writes PLACE/initrd and returns its path."""
    if not PENSTOCK.exists():
        raise Skip(f"{PENSTOCK} is not built")
    folders = sorted(Path(f"/usr/lib/{MULTIARCH}/dpdk").glob("pmds-*"))
    if not folders:
        raise Skip("DPDK's drivers are not installed")
    root = PLACE / "root"
    shutil.rmtree(root, ignore_errors=True)
    libraries = root / f"usr/lib/{MULTIARCH}"
    for directory in ("usr/bin", "usr/lib64", libraries, "bin", "etc", "dev", "proc", "sys", "run", "tmp"):
        (root / directory).mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "var").mkdir()
    (root / "var/run").symlink_to("/run")
    (root / "lib64").symlink_to("usr/lib64")
    (root / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    shutil.copy(PLACE / "busybox/bin/busybox", root / "bin/busybox")
    _modules(root)
    programs = [PENSTOCK, *map(shutil.which, PROGRAMS)]
    for program in programs:
        shutil.copy(program, root / "usr/bin" / Path(program).name)
    # Each driver as one file: loaded twice, under two names, it would register twice.
    drivers = [path for name in DRIVERS for path in folders[-1].glob(f"librte_{name}.so*")]
    folder = root / str(folders[-1]).lstrip("/")
    folder.mkdir(parents=True)
    for driver in drivers:
        real = driver.resolve()
        if not (libraries / real.name).exists():
            shutil.copy(real, libraries / real.name)
        for name in {libraries / driver.name, folder / driver.name} - {libraries / real.name}:
            name.symlink_to(f"/usr/lib/{MULTIARCH}/{real.name}")
    _libraries(root, [*programs, *drivers])
    objects = Path(f"/usr/lib/{MULTIARCH}/bpf")  # libxdp's own
    if objects.exists():
        shutil.copytree(objects, libraries / "bpf")
    for script in ("init", "agent", "functions"):
        shutil.copy(HERE / "guest" / script, root / script)
        os.chmod(root / script, 0o755)
    image = PLACE / "initrd"
    names = subprocess.run(["find", "."], cwd=root, capture_output=True).stdout
    with open(image, "wb") as output:
        subprocess.run([root / "bin/busybox", "cpio", "-o", "-H", "newc"], cwd=root, input=names, stdout=output, stderr=subprocess.DEVNULL, check=True)
    return image

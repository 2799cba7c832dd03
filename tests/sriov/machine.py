"""QEMU and a stock Debian kernel, unpacked below the build directory: nothing is installed on the machine that tests.

QEMU has an emulated SR-IOV NIC (igb) since version 8; Debian 12 has it in its backports.
"""
import gzip
import lzma
import os
import re
import shutil
import subprocess
import zlib
from pathlib import Path

from lab import BUILD, Skip

PLACE = BUILD / "sriov"
MULTIARCH = "x86_64-linux-gnu"
# Of the kernel's modules only the folders that the guest can need: the rest is ten times more.
MODULES = ("drivers/vfio", "drivers/net/ethernet/intel/igb", "drivers/net/ethernet/intel/igbvf", "drivers/net/tun", "drivers/net/virtio_net",
           "drivers/net/net_failover", "drivers/virtio", "drivers/char", "drivers/dca", "drivers/i2c", "drivers/ptp", "drivers/pps", "virt",
           "net/core", "net/8021q", "net/802", "net/llc")


def _sources():
    """The lines of a sources.list: the mirrors that this machine uses already, and their backports."""
    if not shutil.which("apt-get"):
        raise Skip("no apt-get to fetch QEMU and a kernel with")
    release = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.MULTILINE)
    targets = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"],
                             capture_output=True, text=True).stdout.split("\n")
    pairs = {tuple(line.split()) for line in targets if len(line.split()) == 2}
    main = next((uri for uri, suite in pairs if release and suite == release[1] and "debian" in uri), None)
    if main is None:
        raise Skip("no Debian mirror among the sources of apt")
    suites = [(main, f"{release[1]}-backports")] + sorted((uri, suite) for uri, suite in pairs if suite.startswith(release[1]) and "debian" in uri)
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    return release[1], "".join(f"deb [signed-by={key}] {uri} {suite} main\n" for uri, suite in suites)


class _Apt:
    """apt with a state of its own: the machine's lists, cache and packages are left alone."""

    def __init__(self, place, release, sources):
        self.release = release
        for directory in ("lists/partial", "cache/archives/partial"):
            (place / directory).mkdir(parents=True, exist_ok=True)
        (place / "sources.list").write_text(sources)
        (place / "apt.conf").write_text(
            f'Dir::Etc::sourcelist "{place}/sources.list"; Dir::Etc::sourceparts "-"; Dir::State::lists "{place}/lists"; Dir::Cache "{place}/cache";\n'
            'APT::Install-Recommends "false"; APT::Keep-Downloaded-Packages "true"; Acquire::Languages "none"; Acquire::Retries "3";\n'
            'APT::Sandbox::User ""; Debug::NoLocking "1";\n')
        self.archives = place / "cache/archives"
        self.environment = os.environ | {"APT_CONFIG": str(place / "apt.conf")}

    def run(self, *command, cwd=None):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=self.environment, cwd=cwd)
        if done.returncode:
            raise Skip(f"{' '.join(map(str, command))}: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
        return done.stdout


def _uncompressed(image):
    """The ELF within a bzImage: QEMU starts it by PVH, which saves the guest ten seconds of emulated decompression."""
    openers = ((b"\xfd7zXZ\0", lambda text: lzma.LZMADecompressor().decompress(text)), (b"\x1f\x8b\x08", lambda text: zlib.decompressobj(31).decompress(text)),
               (b"\x28\xb5\x2f\xfd", lambda text: subprocess.run(["zstd", "-dc"], input=text, capture_output=True).stdout))
    for magic, opened in openers:
        for found in re.finditer(re.escape(magic), image):
            try:
                kernel = opened(image[found.start():])
            except (lzma.LZMAError, zlib.error, gzip.BadGzipFile, OSError):
                continue
            if kernel[:4] == b"\x7fELF":
                return kernel
    raise Skip("the kernel is compressed in a way that is not known here")


def fetch():
    """Unpacks qemu/, kernel/, busybox/ and vmlinux below PLACE; they stay there for the next run."""
    if os.uname().machine != "x86_64":
        raise Skip("the machine that is emulated is an x86_64 one")
    if (PLACE / "vmlinux").exists():
        return
    shutil.rmtree(PLACE, ignore_errors=True)
    release, sources = _sources()
    apt = _Apt(PLACE / "apt", release, sources)
    apt.run("apt-get", "-qq", "update")
    # With what it needs that is not installed here.
    apt.run("apt-get", "-qq", "-y", "--download-only", "-t", f"{release}-backports", "install", "qemu-system-x86")
    for package in apt.archives.glob("*.deb"):
        apt.run("dpkg", "-x", package, PLACE / "qemu")
    kernel = re.search(r"Depends: (linux-image-\S+)", apt.run("apt-cache", "depends", f"linux-image-amd64/{release}")
                       or apt.run("apt-cache", "depends", "linux-image-amd64"))
    packages = PLACE / "packages"
    packages.mkdir()
    apt.run("apt-get", "-qq", "download", kernel[1], "busybox-static", cwd=packages)
    apt.run("dpkg", "-x", next(packages.glob("busybox-static_*.deb")), PLACE / "busybox")
    wanted = ["./boot/vmlinuz-*", *(f"./lib/modules/*/kernel/{part}*" for part in MODULES)]
    unpacked = subprocess.Popen(["dpkg", "--fsys-tarfile", next(packages.glob("linux-image-*.deb"))], stdout=subprocess.PIPE)
    (PLACE / "kernel").mkdir()
    subprocess.run(["tar", "-C", PLACE / "kernel", "-x", "--wildcards", *wanted], stdin=unpacked.stdout, stderr=subprocess.DEVNULL)
    unpacked.wait()
    (PLACE / "vmlinux").write_bytes(_uncompressed(next((PLACE / "kernel/boot").glob("vmlinuz-*")).read_bytes()))
    for spent in ("apt", "packages"):
        shutil.rmtree(PLACE / spent)


def qemu():
    """The command that starts it, and its environment."""
    place = PLACE / "qemu/usr"
    command = [place / "bin/qemu-system-x86_64"]
    for data in ("share/qemu", "share/seabios", "lib/ipxe/qemu"):
        command += ["-L", place / data]
    libraries = f"{place}/lib/{MULTIARCH}:{PLACE}/qemu/lib/{MULTIARCH}"
    return command, os.environ | {"LD_LIBRARY_PATH": libraries}

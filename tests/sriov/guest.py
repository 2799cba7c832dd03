"""A machine within this one: QEMU without KVM, a serial port by which it is told what to run, and wires to a namespace."""
import base64
import contextlib
import os
import re
import select
import socket
import time
from pathlib import Path

from lab import Process, Skip
from machine import PLACE, qemu

MEMORY, HUGEPAGES = 1024, 160  # MiB; of 2 MiB
KERNEL = ("console=ttyS0 panic=-1 quiet no_timer_check nowatchdog tsc=reliable clocksource=tsc rcupdate.rcu_cpu_stall_suppress=1 "
          f"iommu=pt hugepages={HUGEPAGES}")


class Died(Exception):
    """QEMU or the guest's kernel ended. QEMU 10 without KVM does so now and then, by an assertion of its own."""


class Guest:
    """`wires`: (interface of the namespace, device and its options) of each NIC. The guest's end of wire number N is the PCI
    device 0000:0N:00.0, counted from one."""

    def __init__(self, lab, name, outside, wires, iommu):
        self.name, self.outside = name, outside
        self.log = lab.file(f"{name}-console.log")
        control = lab.file(f"{name}.sock")
        command, environment = qemu()
        command += ["-nodefaults", "-display", "none", "-no-reboot", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", MEMORY, "-smp", 2,
                    "-M", "q35,kernel-irqchip=split" if iommu else "q35", "-kernel", PLACE / "vmlinux", "-initrd", PLACE / "initrd",
                    "-append", KERNEL + (" intel_iommu=on" if iommu else ""), "-serial", f"file:{self.log}",
                    "-device", "virtio-serial-pci", "-chardev", f"socket,id=control,path={control},server=on,wait=off",
                    "-device", "virtserialport,chardev=control"]
        if iommu:
            command += ["-device", "intel-iommu,intremap=on"]
        for number, (interface, device) in enumerate(wires, 1):
            outside.ip("tuntap", "add", "mode", "tap", "dev", interface)
            outside.ip("link", "set", interface, "up")
            command += ["-device", f"pcie-root-port,id=port{number},chassis={number},slot={number}",
                        "-netdev", f"tap,id={interface},ifname={interface},script=no,downscript=no",
                        "-device", f"{device},bus=port{number},netdev={interface},mac=52:54:00:00:00:{number:02x}"]
        self.process = outside.start(*command, log=lab.file(f"{name}-qemu.log"), env=environment)
        self.unread = b""
        self.line = self._connect(control)
        lab.on_close(self.line.close)
        self.kernel = self._until(rb"([^\n]*)\n", 120)[1].decode()

    def _connect(self, path):
        deadline = time.monotonic() + 10
        while True:
            line = socket.socket(socket.AF_UNIX)
            try:
                line.connect(str(path))
                return line
            except OSError:
                line.close()
                if not self.process.running() or time.monotonic() > deadline:
                    raise Died(self.process.text()[-2000:]) from None
                time.sleep(0.02)

    def clock(self):
        """Seconds, without those that QEMU waited for a core: on a busy machine the guest has them not, and its patience neither."""
        waited = 0
        for task in Path(f"/proc/{self.process.pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError, IndexError):
                waited = max(waited, int(task.read_text().split()[1]))
        return time.monotonic() - waited * 1e-9

    def _until(self, pattern, seconds):
        deadline = self.clock() + seconds
        while not (found := re.match(pattern, self.unread, re.DOTALL)):
            if not self.process.running():
                raise Died(self.process.text()[-2000:] + self.console()[-2000:])
            if self.clock() > deadline:
                raise AssertionError(f"the guest does not answer; so far {self.unread[-500:]!r}\n{self.console()[-1500:]}")
            if select.select([self.line], [], [], 0.2)[0]:
                self.unread += self.line.recv(65536)
        self.unread = self.unread[found.end():]
        return found

    def console(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def run(self, script, check=True, seconds=30):
        """Runs shell commands in the guest and returns what they printed; without `check`, (exit code, that)."""
        try:
            self.line.sendall(base64.b64encode(script.encode()) + b"\n")
        except OSError:
            raise Died(self.process.text()[-2000:]) from None
        answer = self._until(rb"([^\x04]*)\x04(\d+)\n", seconds)
        text, code = answer[1].decode(errors="replace"), int(answer[2])
        if not check:
            return code, text
        assert code == 0, f"in the guest: {script}: exit {code}\n{text}"
        return text

    def write(self, path, text):
        self.run(f"echo {base64.b64encode(text.encode()).decode()} | base64 -d > {path}")

    def seconds(self):
        """Of one core, that QEMU took so far."""
        fields = open(f"/proc/{self.process.pid}/stat").read().split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

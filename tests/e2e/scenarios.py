"""The traffic scenarios of tools/pktgen-scenarios, short and slow; and that a fault in one is seen."""
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from cases import alone, cases
from lab import ROOT, Skip

SCENARIOS = ROOT / "tools/pktgen-scenarios"
SKIPPED = 77


def run(*words, generator="penstock-gen"):
    done = subprocess.run([SCENARIOS / "run", "--small", "--with", generator, *words], capture_output=True, text=True, timeout=90)
    if done.returncode == SKIPPED:
        raise Skip(done.stdout.strip())
    return done.returncode, done.stdout + done.stderr


@cases(name=("fan-out", "fec-2d", "imix-garbage", "live-live", "many-streams", "multicast", "relay", "rtsp-mix", "small-audio"))
def test_small(name):
    code, said = run(name)
    assert code == 0, said


@alone
def test_small_overload():
    code, said = run("overload")
    assert code == 0, said


@alone
@cases(name=("relay", "fec-2d", "many-streams"))
def test_pktgen(name):
    if not shutil.which(os.environ.get("PKTGEN", "pktgen")):
        raise Skip("Pktgen-DPDK is not installed: no `pktgen` on the path, nor one that PKTGEN names")
    code, said = run(name, generator="pktgen")
    assert code == 0, said


def test_faults_are_seen():
    """One receiver of a hundred is left out; and an expectation that cannot hold."""
    with tempfile.TemporaryDirectory() as directory:
        lame = Path(directory) / "lame"
        shutil.copytree(SCENARIOS / "fan-out", lame)
        config = (lame / "penstock.yaml").read_text()
        assert "# repeat 100\n" in config
        (lame / "penstock.yaml").write_text(config.replace("# repeat 100\n", "# repeat 99\n"))
        code, said = run(str(lame), "--seconds", "0.5")
        assert code == 1 and "NOT as expected" in said, said
        missed = {line.split()[0] for line in said.splitlines() if line.endswith("NOT MET")}
        assert missed == {"lost", "copies", "legs"}, said

        wrong = Path(directory) / "wrong.yaml"
        wrong.write_text("copies: == 2\nno_such_figure: == 0\nlost: == 0\n")
        code, said = run("relay", "--seconds", "0.5", "--expect", str(wrong))
        missed = {line.split()[0] for line in said.splitlines() if line.endswith("NOT MET")}
        assert code == 1 and missed == {"copies", "no_such_figure"}, said

"""Builds penstock and runs its suites; tools/test calls this after set-up and says what each suite is."""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("PENSTOCK_BUILD", ROOT / "build")).absolute()
LOGS = BUILD / "test-logs"
FUZZ_SECONDS = 6
NOT_ROOT = "" if os.geteuid() == 0 else "needs root: it makes network namespaces"


class Suite:
    """What one suite came to. Results are printed as they come; failures with the tail of their log."""

    def __init__(self, name):
        self.name, self.passed, self.failed, self.skipped = name, 0, 0, 0
        self.started = time.monotonic()
        self.seconds = 0.0
        self.lock = threading.Lock()
        print(f"\n== {name}", flush=True)

    def ok(self, what, count=1, detail=""):
        with self.lock:
            self.passed += count
        print(f"ok    {what}{detail}", flush=True)

    def fail(self, what, text, log, count=1):
        with self.lock:
            self.failed += count
        print(f"FAIL  {what}\n" + "".join(f"      {line}\n" for line in text.splitlines()[-30:]) + f"      log: {log}", flush=True)

    def skip(self, what, why, count=1):
        with self.lock:
            self.skipped += count
        print(f"skip  {what}: {why}", flush=True)

    def done(self):
        self.seconds = time.monotonic() - self.started
        return self


def run(command, log, **options):
    """Exit code and text of a command; the text is kept in the log, too."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", cwd=ROOT, **options)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(done.stdout)
    return done.returncode, done.stdout


THREADED = ["dataplane", "rcu_race", "netns-event_loop", "netns-memberships", "netns-messages", "netns-next_hops"]


class Builds:
    """Each build is made once, when a suite asks for it."""
    LIGHT = ["-Dbuildtype=debug", "-Doptimization=1", "-Dcpp_args=-g1"]
    KINDS = {
        "plain": ("", []),
        # Line numbers are enough of debugging: tracking variables through instrumented code takes the compiler minutes.
        "asan": ("-asan", ["-Db_sanitize=address,undefined", *LIGHT]),
        "tsan": ("-tsan", ["-Db_sanitize=thread", *LIGHT]),
        "arm": ("-arm", ["-Dpure=true", "--cross-file=tests/arm/aarch64.ini"]),
        "fuzz": ("-fuzz", ["-Dfuzz=true"]),
    }
    # What the sanitizers run, and no more: the rest of the tree would take minutes to build.
    TARGETS = {"asan": ["unit", "property", *THREADED], "tsan": ["threads", "rcu_race_hasty", *THREADED]}

    def __init__(self, whole):
        """`whole`: a run of everything, whose plain build has the benchmark programs, which no suite runs, and not those that
        the sanitizers run."""
        self.whole = whole
        self.report = Suite("build")
        self.report.seconds = 0.0
        self.made = {}

    def get(self, kind):
        """The directory, or None when it does not build (which is a failure of the suite `build`)."""
        if kind not in self.made:
            started = time.monotonic()
            self.made[kind] = self._make(kind)
            self.report.seconds += time.monotonic() - started
        return self.made[kind]

    def _make(self, kind):
        suffix, options = self.KINDS[kind]
        directory = BUILD.with_name(BUILD.name + suffix)
        compilers = {"CC": "clang-19", "CXX": "clang++-19"} if kind == "fuzz" else {}
        log = LOGS / f"build-{kind}.log"
        started = time.monotonic()
        code, text = 0, ""
        known = (directory / "build.ninja").exists()
        if kind == "plain" and self.whole:
            options = [*options, "-Dbench=true"]
        if not known or options:
            code, text = run(["meson", "setup", *(["--reconfigure"] if known else []), directory, *options], log, env=os.environ | compilers)
        if code == 0:
            log = LOGS / f"compile-{kind}.log"
            code, text = run(["meson", "compile", "-C", directory, *(f"{name}:executable" for name in self._targets(kind, directory))], log)
        if code:
            self.report.fail(f"build {kind}", text, log)
            return None
        print(f"built {directory.name} in {time.monotonic() - started:.0f} s", flush=True)
        return directory

    def _targets(self, kind, directory):
        """None: all of them."""
        if kind != "plain" or not self.whole:
            return self.TARGETS.get(kind, [])
        all_of_them = json.loads(subprocess.check_output(["meson", "introspect", "--targets", directory]))
        return [target["name"] for target in all_of_them if target["type"] == "executable" and target["name"] not in self.TARGETS["asan"]]


def without_privileges(directory):
    """A prefix that takes root's privileges from a test program, to prove that it needs none."""
    if os.geteuid() or not shutil.which("setpriv"):
        return ""
    nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --inh-caps=-all"
    sees = subprocess.run([*nobody.split(), "test", "-r", directory / "build.ninja"]).returncode == 0
    # A clone below /root is closed to other users: then root, but without any capability.
    return nobody if sees else "setpriv --bounding-set=-all --inh-caps=-all"


def catch_counts(text):
    """(passed, failed) test cases that a Catch2 program reports, or None."""
    if found := re.search(r"All tests passed \(.*? in (\d+) test cases?\)", text):
        return int(found[1]), 0
    if found := re.search(r"test cases:\s*(\d+) \|(.*)", text):
        failed = re.search(r"(\d+) failed", found[2])
        failed = int(failed[1]) if failed else 0
        return int(found[1]) - failed, failed
    return None


def meson_suite(suite, directory, wanted, label="", privileged=False, patience=1, without=()):
    """Runs one of meson's suites; counts the test cases of each program where it tells them."""
    name = f"{wanted}{'-' + label if label else ''}"
    wrapper = "" if privileged else without_privileges(directory)
    # meson adds the wrapper's name to that of its log.
    records = directory / "meson-logs" / f"{name}{'-setpriv' if wrapper else ''}.json"
    records.unlink(missing_ok=True)
    log = LOGS / f"{name}.log"
    _, text = run(["meson", "test", "-C", directory, "--no-rebuild", "--suite", wanted, *(word for other in without for word in ("--no-suite", other)), "--logbase", name,
                   "--timeout-multiplier", patience, *(["--wrapper", wrapper] if wrapper else [])], log)
    results = [json.loads(line) for line in records.read_text().splitlines()] if records.exists() else []
    if not results:
        return suite.fail(name, text, log)
    for result in results:
        program = result["name"].split(" / ")[-1] + (f" ({label})" if label else "")
        output = result.get("stdout") or ""
        errors = result.get("stderr") or ""
        passed, failed = catch_counts(output) or (None, None)
        seconds = f"  {result['duration']:.1f} s"
        if result["result"] in ("OK", "EXPECTEDFAIL"):
            suite.ok(program, passed or 1, (f": {passed} cases" if passed else "") + seconds)
        elif result["result"] == "SKIP":
            suite.skip(program, (output.strip().splitlines() or ["no reason given"])[-1])
        else:
            one = LOGS / f"{name}-{re.sub(r'[^A-Za-z0-9_.-]', '_', program)}.log"
            one.write_text(output + errors)
            suite.passed += passed or 0
            suite.fail(f"{program}: {result['result']}", output + errors, one, failed or 1)


def layers(_):
    suite = Suite("layers")
    sources = sorted(path.relative_to(ROOT) for pattern in ("*.hpp", "*.cpp") for path in (ROOT / "src").rglob(pattern))
    log = LOGS / "layers.log"
    code, text = run(["tools/check-layers", *sources], log)
    suite.ok(f"{len(sources)} files keep to their layers") if code == 0 else suite.fail("check-layers", text, log)
    # The check itself: each of these must be reported.
    breaches = {
        "rtp/a.hpp": '#include "flow/key.hpp"', "flow/a.hpp": '#include "control/io/fd.hpp"', "control/io/a.cpp": '#include "dataplane/port.hpp"',
        "dataplane/a.cpp": '#include "control/config/config.hpp"', "flow/b.cpp": "#include <rte_mbuf.h>",
        "control/config/a.cpp": "#include <sys/socket.h>", "control/cli/show.cpp": "#include <unistd.h>", "base/address.cpp": "#include <unistd.h>",
        "control/mesh/a.cpp": "auto now = std::chrono::steady_clock::now();", "rtp/b.cpp": "std::random_device seed;"}
    with tempfile.TemporaryDirectory() as directory:
        for name, line in breaches.items():
            planted = Path(directory) / "src" / name
            planted.parent.mkdir(parents=True, exist_ok=True)
            planted.write_text(line + "\n")
            code, text = run([ROOT / "tools/check-layers", planted], log)
            if code != 1:
                suite.fail(f"not reported in {name}: {line}", text, log)
            planted.unlink()
    if not suite.failed:
        suite.ok(f"{len(breaches)} planted breaches are reported")
    return suite.done()


def plain(name, privileged=False):
    """The programs of one of meson's suites, in the plain build; without those that the sanitizers run, when they do."""
    def suite_of(builds):
        directory = builds.get("plain")
        suite = Suite(name)
        if privileged and NOT_ROOT:
            suite.skip(name, NOT_ROOT)
        elif directory:
            meson_suite(suite, directory, name, privileged=privileged, without=["loop"] if builds.whole else [])
        else:
            suite.skip(name, "it did not build")
        return suite.done()
    return suite_of


def sanitizers(builds):
    directories = {label: builds.get(label) for label in ("asan", "tsan")}
    suite = Suite("sanitizers")

    def run_all(label, suites):
        directory = directories[label]
        for wanted in suites:
            if wanted == "loop" and NOT_ROOT:
                suite.skip(f"loop ({label})", NOT_ROOT)
            elif directory:
                meson_suite(suite, directory, wanted, label, privileged=wanted == "loop", patience=5)
            else:
                suite.skip(f"{wanted} ({label})", "it did not build")

    with ThreadPoolExecutor(2) as pool:  # side by side: most of it is one program at a time
        for done in (pool.submit(run_all, "asan", ("unit", "property", "dataplane", "loop")),
                     pool.submit(run_all, "tsan", ("threads", "dataplane", "loop"))):
            done.result()
    return suite.done()


def arm(builds):
    directory = builds.get("arm")
    suite = Suite("arm")
    if directory:
        meson_suite(suite, directory, "arm", privileged=True, patience=2)
    else:
        suite.skip("arm", "it did not build")
    return suite.done()


def fuzz(builds):
    directory = builds.get("fuzz")
    suite = Suite("fuzz")
    if not directory:
        suite.skip("fuzz", "it did not build")
        return suite.done()
    targets = [Path(target["filename"][0]) for target in json.loads(subprocess.check_output(
        ["meson", "introspect", "--targets", directory])) if target["type"] == "executable"]

    def attack(target):
        corpus = ROOT / "tests/fuzz/corpus" / re.sub(r"(^fuzz_|_fuzz$)", "", target.name)
        log = LOGS / f"fuzz-{target.name}.log"
        finds = LOGS / f"fuzz-{target.name}-"  # crash-... files, when there are any
        with tempfile.TemporaryDirectory() as new:  # what it learns goes here, never into git
            seeds = [corpus] if corpus.is_dir() else []
            code, text = run([target, new, *seeds, f"-max_total_time={FUZZ_SECONDS}", "-timeout=5", "-rss_limit_mb=2048",
                              "-print_final_stats=1", f"-artifact_prefix={finds}"], log)
        return target.name, code, text, log, bool(seeds)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, code, text, log, seeded in pool.map(attack, targets):
            runs = re.search(r"number_of_executed_units: (\d+)", text)
            if code or not runs:
                suite.fail(name, text, log)
            else:
                suite.ok(name, 1, f": {int(runs[1]):,} runs{'' if seeded else ', no corpus'}")
    if not targets:
        suite.fail("fuzz", "no targets", LOGS / "build-fuzz.log")
    return suite.done()


def scenarios(name):
    """The suite of tests/NAME/run: it prints `ok|FAIL|skip|again NAME SECONDS` itself."""
    def suite_of(builds):
        directory = builds.get("plain")
        suite = Suite(name)
        if NOT_ROOT or not directory:
            suite.skip(name, NOT_ROOT or "it did not build")
            return suite.done()
        logs = LOGS / name
        shutil.rmtree(logs, ignore_errors=True)
        tests = subprocess.Popen([ROOT / f"tests/{name}/run", "--logs", logs], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                 env=os.environ | {"PENSTOCK_BUILD": str(directory)})
        words = {"ok": 0, "FAIL": 0, "skip": 0, "again": 0}
        for line in tests.stdout:
            print(line, end="", flush=True)
            if (word := line.split(" ")[0]) in words:
                words[word] += 1
        suite.passed, suite.failed, suite.skipped = words["ok"], words["FAIL"], words["skip"]
        if words["again"]:
            print(f"note  {words['again']} failed at first and were run again; the logs: {logs}")
        if tests.wait() and not words["FAIL"] or not sum(words.values()):
            suite.fail(name, f"tests/{name}/run ended with {tests.returncode}", logs)
        return suite.done()
    return suite_of


def alerts(builds):
    """The alert rules and the dashboard, against promtool and against the names that penstock really has."""
    suite = Suite("alerts")
    rules, dashboard = ROOT / "config/prometheus/alerts.yaml", ROOT / "config/grafana/penstock.json"
    if not shutil.which("promtool"):
        suite.skip("alerts", "promtool is not installed")
        return suite.done()
    for name, command in (("rules are well formed", ["promtool", "check", "rules", rules]),
                          ("each alert fires when it should", ["promtool", "test", "rules", ROOT / "tests/prometheus/alerts_test.yaml"])):
        log = LOGS / f"alerts-{name.split()[0]}.log"
        code, text = run(command, log)
        suite.fail(name, text, log) if code else suite.ok(name)
    # Driver counters (penstock_port_...) come from DPDK and are not spelt out in our source.
    source = "".join(file.read_text() for file in (ROOT / "src").rglob("*.cpp"))
    used = set(re.findall(r"penstock_(\w+)", rules.read_text() + dashboard.read_text()))
    unknown = sorted(name for name in used if not name.startswith("port_") and f'"{name.removesuffix("_bucket")}"' not in source)
    log = LOGS / "alerts-names.log"
    log.write_text("\n".join(unknown) + "\n")
    suite.fail("alerts and dashboard name metrics that exist", log.read_text(), log) if unknown else suite.ok(
        f"alerts and dashboard name metrics that exist: {len(used)} names")
    return suite.done()


# What a run of everything leaves out: the sanitizers run the same programs.
TWICE = ("unit", "property", "dataplane")
SUITES = {"layers": layers, "alerts": alerts, "unit": plain("unit"), "property": plain("property"), "dataplane": plain("dataplane"),
          "netns": plain("netns", privileged=True), "e2e": scenarios("e2e"), "sriov": scenarios("sriov"), "sanitizers": sanitizers, "arm": arm, "fuzz": fuzz}


def main():
    parser = argparse.ArgumentParser(prog="tools/test", add_help=False)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--suite", nargs="+", choices=list(SUITES), action="extend", metavar="NAME")
    given = parser.parse_args()
    wanted = given.suite or (list(TWICE) if given.quick else [name for name in SUITES if name not in TWICE])
    builds = Builds(whole=not (given.suite or given.quick))
    done = [SUITES[name](builds) for name in dict.fromkeys(wanted)]
    print(f"\n{'suite':12}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for suite in [builds.report, *done]:
        print(f"{suite.name:12}{suite.passed:8}{suite.failed:8}{suite.skipped:9}{suite.seconds:9.0f}")
    passed, failed, skipped = (sum(getattr(suite, what) for suite in [builds.report, *done])
                               for what in ("passed", "failed", "skipped"))
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

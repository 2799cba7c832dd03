"""A forwarder under constant change. As a program this is tools/soak."""
import argparse
import random
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "support")]

from churn import soak  # noqa: E402
from cases import alone
from lab import Skip  # noqa: E402


@alone
def test_changes_without_a_pause():
    """A hundred random changes a second for twenty seconds: untouched streams lose nothing, nothing grows."""
    soak(20)


def main():
    arguments = argparse.ArgumentParser(prog="tools/soak", description=__doc__)
    arguments.add_argument("--minutes", type=float, default=10, help="how long [10]")
    arguments.add_argument("--rate", type=float, default=100, help="changes a second [100]")
    arguments.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="of the changes [a new one]")
    given = arguments.parse_args()
    try:
        soak(given.minutes * 60, given.rate, given.seed, lambda text: print(text, flush=True))
    except Skip as why:
        print(f"cannot be run here: {why}")
        return 77
    except AssertionError as why:
        print(f"verdict: FAILED: {why}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

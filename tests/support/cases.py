"""What a test file says about its tests, and what tests/e2e/run reads back."""
import itertools


def cases(**values):
    """Runs the test once for each combination: @cases(driver=("af_xdp", "af_packet"), family=(4, 6))."""
    def mark(test):
        test.cases = [dict(zip(values, combination)) for combination in itertools.product(*values.values())]
        return test
    return mark


def alone(test):
    """Runs when no other test does: it measures time or load, or takes a whole core."""
    test.alone = True
    return test


def expand(module):
    """(name, function, arguments) of every test in a module, in the order of the file."""
    tests = [value for name, value in vars(module).items() if name.startswith("test_") and callable(value)]
    for test in sorted(tests, key=lambda test: test.__code__.co_firstlineno):
        for arguments in getattr(test, "cases", [{}]):
            shown = ",".join(f"ipv{value}" if key == "family" else getattr(value, "name", str(value)) for key, value in arguments.items())
            yield f"{module.__name__}.{test.__name__[5:]}" + (f"[{shown}]" if shown else ""), test, arguments

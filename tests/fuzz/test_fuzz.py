"""The fuzzer: python -m pytest tests/fuzz -m slow -s. A few of its cases run with the other tests."""

import os

import pytest
from fuzz import harness, suites

SEED = int(os.environ.get("GANJAX_FUZZ_SEED", "0"))
COUNTS = {"config": 200, "checkpoint": 100, "arrays": 200}


def assert_clean(cases) -> None:
    results = harness.run(cases)
    print(f"\n{harness.table(results)}")
    if harness.failures(results):
        pytest.fail(harness.table(results), pytrace=False)


def test_a_few_of_every_kind():
    cases = [("read, crop", SEED, i) for i in range(14)] + [("size", SEED, i) for i in range(14)]
    assert_clean(cases + [("arrays", SEED, i) for i in range(20)])


@pytest.mark.slow
@pytest.mark.parametrize("suite", suites.IMAGES)
def test_two_thousand_image_files(suite):
    assert_clean((suite, SEED, i) for i in range(2000))


@pytest.mark.slow
@pytest.mark.parametrize("suite", COUNTS)
def test_configs_checkpoints_and_arrays(suite):
    assert_clean((suite, SEED, i) for i in range(COUNTS[suite]))


@pytest.mark.slow
def test_the_harness_tells_how_a_case_ends():
    """The worker is shown to see what it is for: on Linux, where it can measure."""
    ends = {result.suite: result.end for result in harness.run((name, 0, 0) for name in suites.PROBES)}
    assert ends == {name: name.removeprefix("probe: ") for name in suites.PROBES}

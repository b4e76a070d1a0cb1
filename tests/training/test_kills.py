"""A sample of tests/programs/kills.py, which has the rest."""

import pytest
from programs import kills


@pytest.mark.slow
def test_killed_by_any_signal_at_any_moment_it_ends_in_the_same_bits(tmp_path):
    assert kills.main([f"--out={tmp_path}", "--trials=3", "--signal=INT,TERM,HUP"]) == 0
    assert kills.main([f"--out={tmp_path}", "--trials=1", "--signal=KILL"]) == 0
    assert len((tmp_path / "kills.jsonl").read_text().splitlines()) == 10

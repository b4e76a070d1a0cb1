from ganjax.errors import nearest

MANY = [f"metric_{i}" for i in range(40)]


def test_the_nearest_name_is_offered_else_all_of_a_few_or_a_few_of_many():
    assert nearest("swdd", ["swd", "colour"]) == "; did you mean 'swd'?"
    assert nearest("xyz", ["swd", "colour"]) == "; there is: colour, swd"
    assert nearest("", MANY) == "; there are 40, such as metric_0, metric_1, metric_10"
    assert len(nearest("q" * 100_000, MANY)) < 100  # and quickly
    assert "metric_7" in nearest(7, MANY)  # a foreign config may hold anything

import numpy as np
import pytest

from ganjax.errors import UserError
from ganjax.metrics.statistics import copies


def normal(n, d, seed):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def images(n, side, seed):
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), np.uint8)


def brute(queries, references, k):
    distances = np.linalg.norm(queries[:, None].astype(np.float64) - references[None].astype(np.float64), axis=2)
    order = np.argsort(distances, 1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, 1), order


@pytest.mark.parametrize("tile", [(512, 4096), (7, 30)])
def test_nearest_is_brute_force(monkeypatch, tile):
    monkeypatch.setattr(copies, "ROWS", tile[0])
    monkeypatch.setattr(copies, "COLUMNS", tile[1])
    queries, references = normal(40, 12, 0), normal(101, 12, 1)
    for k in (1, 5, 101):
        for ours, theirs in zip(copies.nearest(queries, references, k), brute(queries, references, k), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_near_ties_far_from_the_origin_are_ordered():
    # In float32, |a|^2 + |b|^2 - 2ab of these would err by 1e3; the distances are 1 and 1 + 1e-6.
    query = np.full((1, 64), 1e4)
    references = np.repeat(query, 3, 0)
    references[0, 0] += 1 + 1e-6
    references[1, 1] -= 1
    references[2, 2] += 50
    distances, rows = copies.nearest(query, references, 2)
    assert rows.tolist() == [[1, 0]]
    np.testing.assert_allclose(distances, [[1, 1 + 1e-6]], rtol=1e-9)


def test_duplicates_are_at_distance_0_lower_row_first():
    references = np.concatenate([normal(5, 8, 0)] * 3)
    distances, rows = copies.nearest(references[:5], references, 3)
    assert (distances == 0).all()
    assert rows.tolist() == [[i, i + 5, i + 10] for i in range(5)]


def test_copy_ratio_of_a_scale_is_the_scale():
    # Training images are at 0, 10, 20, ...; held-out ones are 2 away from them, generated ones 1 away.
    train = np.arange(0, 1000, 10.0)[:, None]
    result = copies.copy_ratio(train + 1, train, train[:50] + 2)
    # The 50th neighbour of most is 249 or 248 away on one side, or farther near the ends.
    assert result["value"] == pytest.approx(0.5, rel=0.01)
    assert (result["distance_ratio"], result["held_out"]) == (0.5, "given")
    assert result["share"] == 1
    assert copies.copy_ratio(train + 3, train, train[:50] + 2)["share"] == 0


def test_new_images_have_ratio_1_and_copies_0():
    train, held_out, new = normal(1000, 8, 0), normal(1000, 8, 1), normal(1000, 8, 2)
    result = copies.copy_ratio(new, train, held_out)
    assert result["value"] == pytest.approx(1, abs=0.05)
    assert result["share"] == pytest.approx(copies.QUANTILE, abs=0.01)
    half = np.concatenate([train[:500] + 1e-3, new[:500]])
    assert copies.copy_ratio(half, train, held_out)["share"] == pytest.approx(0.5 + copies.QUANTILE / 2, abs=0.01)
    assert copies.copy_ratio(train, train, held_out)["value"] == 0
    split = copies.copy_ratio(new, train, seed=3)
    assert split["value"] == pytest.approx(1, abs=0.1)
    assert (split["held_out"], split["n_held_out"], split["n_train"]) == ("split of train", 200, 800)
    assert split == copies.copy_ratio(new, train, seed=3) != copies.copy_ratio(new, train, seed=4)


def test_held_out_images_that_are_training_images_are_refused():
    train = normal(20, 4, 0)
    with pytest.raises(UserError, match="nothing to compare"):
        copies.copy_ratio(normal(5, 4, 1), train, train)


def test_mirrored_copies_are_copies():
    train = images(20, 16, 0)
    fake = train[:4, :, ::-1]
    plain, mirrored = copies.pixels(train), copies.pixels(train[:, :, ::-1])
    assert (copies.nearest_training(copies.pixels(fake), plain)[0] > 10).all()
    distances, rows = copies.nearest_training(copies.pixels(fake), plain, mirrored)
    assert (distances == 0).all()
    assert rows[:, 0].tolist() == [20, 21, 22, 23]
    assert copies.copy_ratio(copies.pixels(fake), plain, copies.pixels(images(9, 16, 1)), mirrored)["value"] == 0
    with pytest.raises(UserError, match="mirrored"):
        copies.nearest_training(plain, plain, mirrored[:5])


def test_mifid_is_the_mean_over_generated_images():
    real = np.array([[1.0, 0, 0], [0, 1, 0]])
    angle = 0.3
    fake = np.array([[np.cos(angle), 0, np.sin(angle)], [-5, 0, 0]])  # 1 - |cos|: 1 - cos .3 and 0
    result = copies.mifid(20.0, fake, real)
    assert result["distance"] == pytest.approx((1 - np.cos(angle)) / 2)
    assert result["value"] == pytest.approx(20 * 2 / (1 - np.cos(angle)))
    # The mean over the real images would be (1 - cos .3 + 1) / 2, above the threshold.
    assert copies.mifid(20.0, real, fake)["distance"] == pytest.approx(0.5)
    assert copies.mifid(20.0, real, fake)["value"] == 20
    assert copies.mifid(20.0, fake, real, threshold=0.01)["value"] == 20
    assert copies.mifid(1.0, real, real)["value"] == pytest.approx(1e15)


def test_authpct_by_hand():
    train = np.array([[0.0], [10], [14], [50]])  # to their nearest others: 10, 4, 4, 36
    fake = np.array([[-9.0], [-11], [9], [15], [5.9], [45]])  # nearest: 9 < 10, 11 > 10, 1 < 4, 1 < 4, 4.1 > 4, 5 < 36
    assert copies.authpct(fake, train)["value"] == pytest.approx(100 * 2 / 6)


def test_authpct_of_duplicated_training_images_sees_exact_copies_only():
    train = np.array([[0.0], [0], [0], [10]])
    assert copies.authpct(np.array([[0.0]]), train)["value"] == 0
    assert copies.authpct(np.array([[1e-6]]), train)["value"] == 100


def test_authpct_of_new_points_on_a_line_is_a_third():
    # A new point is D ~ Exp(2) from the nearest point of a Poisson process of rate 1, whose neighbour on the far side
    # is Exp(1) away, and whose neighbour on the new point's side is beyond 2 D. P(Exp(1) < D) = 1 - 2 / 3.
    rng = np.random.default_rng(0)
    assert copies.authpct(rng.random((4000, 1)), rng.random((4000, 1)))["value"] == pytest.approx(100 / 3, abs=3)


def test_sheet_puts_the_most_suspicious_first():
    train, fake = images(12, 16, 0), images(6, 16, 1)
    fake[4] = train[7]
    fake[2] = train[3][:, ::-1]
    fake[2, 0, 0, 0] ^= 1
    result = copies.sheet(fake, train, rows=3, k=2)
    assert result.rows[:2].tolist() == [4, 2]
    assert result.neighbour_rows[:2, 0].tolist() == [7, 3]
    assert result.distances[0, 0] == 0 < result.distances[1, 0] < 1 < result.distances[2, 0]
    np.testing.assert_array_equal(result.images, fake[result.rows])
    np.testing.assert_array_equal(result.neighbours[0, 0], train[7])
    np.testing.assert_array_equal(result.neighbours[1, 0], train[3][:, ::-1])
    assert result.neighbours.shape == (3, 2, 16, 16, 3)
    assert (np.diff(result.distances, axis=1) >= 0).all()


def test_area_mean_is_the_mean_of_the_area():
    pixels = images(2, 12, 0)
    np.testing.assert_allclose(
        copies.area_mean(pixels, 4, 3), pixels.reshape(2, 4, 3, 3, 4, 3).mean((2, 4), dtype=np.float64), atol=1e-4
    )
    # 3 pixels to 2: each new one holds one and a half old ones.
    row = np.array([0.0, 30, 90]).reshape(1, 1, 3, 1)
    np.testing.assert_allclose(copies.area_mean(row, 1, 2)[0, 0, :, 0], [(0 + 15) / 1.5, (15 + 90) / 1.5], rtol=1e-6)


def test_pixel_distance_is_in_grey_levels():
    a = images(1, 40, 0) // 2
    features = copies.pixels(np.concatenate([a, a + 9]))
    assert features.shape == (2, 32 * 32 * 3)
    assert np.linalg.norm(features[0] - features[1]) == pytest.approx(9, rel=1e-5)


def test_features_that_do_not_fit_are_named():
    with pytest.raises(UserError, match="neither empty"):
        copies.nearest(normal(3, 4, 0), normal(3, 5, 0))
    with pytest.raises(UserError, match="cannot be found among 3"):
        copies.nearest(normal(3, 4, 0), normal(3, 4, 0), 4)

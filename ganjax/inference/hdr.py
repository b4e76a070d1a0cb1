"""Convert HDR and wide-gamut video colours (HLG, PQ, BT.2020, P3) to BT.709.

References: ITU-R BT.2100-2 (HLG and PQ), BT.2087 (primaries), BT.2390-10 section 5.4.1 (tone curve), BT.2408 (white),
BT.1886 (the screen's gamma).
"""

import functools

import numpy as np

BT709, BT2020, P3 = 1, 9, 12  # FFmpeg's codes of primaries, all with white D65
PQ, HLG = 16, 18  # FFmpeg's codes of transfer functions
WHITE = 203.0  # cd/m2 of diffuse white in HDR
PEAK = 1000.0  # cd/m2 of the display that HLG is mastered for; brighter PQ light is clipped to it
GAMMA = 2.4  # of a display after BT.1886
LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)  # of BT.2020's red, green and blue
CHROMATICITIES = {  # x, y of red, green and blue
    BT709: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    P3: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
D65 = (0.3127, 0.3290)
M1, M2 = 2610 / 16384, 2523 / 4096 * 128  # constants of PQ
C1, C2, C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
A, B, C = 0.17883277, 0.28466892, 0.55991073  # constants of HLG


def to_sdr(signal: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    """Return uint8 RGB (..., 3) of BT.709 for an RGB signal (..., 3) in [0, 1] with this transfer and these primaries.

    HLG and PQ are converted to light, tone-mapped, and encoded again. Any other transfer function is treated as
    BT.1886's, and only the primaries are converted. Colours outside BT.709 are clipped.
    """
    signal = np.asarray(signal, np.float32)
    if transfer == HLG:
        light = hlg_light(signal)
    else:
        light = pq_light(signal) if transfer == PQ else WHITE * signal**GAMMA
    if primaries in CHROMATICITIES:
        light = light @ conversion(primaries).T.astype(np.float32)
    light = np.maximum(light, 0)
    if transfer in (HLG, PQ):
        light = tone_mapped(light)
    return np.round(255 * np.clip(light / WHITE, 0, 1) ** (1 / GAMMA)).astype(np.uint8)


def pq_light(signal: np.ndarray) -> np.ndarray:
    """Return the light of a PQ signal, in cd/m2 (BT.2100 table 4, EOTF)."""
    power = signal ** (1 / M2)
    return 10_000 * (np.maximum(power - C1, 0) / (C2 - C3 * power)) ** (1 / M1)


def pq_signal(light: np.ndarray) -> np.ndarray:
    """Return the PQ signal in [0, 1] of light in cd/m2."""
    power = (light / 10_000) ** M1
    return ((C1 + C2 * power) / (1 + C3 * power)) ** M2


def hlg_light(signal: np.ndarray) -> np.ndarray:
    """Return the light (..., 3) of an HLG signal on a display of PEAK, in cd/m2 (BT.2100 table 5: OETF^-1 and OOTF)."""
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - C) / A) + B) / 12)
    luminance = (scene @ LUMINANCE)[..., None]
    return PEAK * np.maximum(luminance, 1e-6) ** 0.2 * scene  # a system gamma of 1.2 at 1000 cd/m2


def conversion(primaries: int) -> np.ndarray:
    """Return the 3x3 matrix from linear RGB with these primaries to linear RGB of BT.709 (BT.2087)."""
    return np.linalg.inv(_to_xyz(BT709)) @ _to_xyz(primaries)


def _to_xyz(primaries: int) -> np.ndarray:
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in (*CHROMATICITIES[primaries], D65)]).T
    return columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])


def tone_mapped(light: np.ndarray) -> np.ndarray:
    """Return light (..., 3) in cd/m2 mapped from [0, PEAK] to [0, WHITE]: BT.2390's curve on the largest of R, G and B.

    Light below the knee, some 90 cd/m2, does not change, nor do hue and saturation. Light above PEAK is clipped to it.
    """
    top = np.maximum(np.maximum(light[..., :1], light[..., 1:2]), light[..., 2:])  # ten times as fast as max(axis=-1)
    return light * np.interp(top, *_gains()).astype(np.float32) * np.minimum(1, PEAK / np.maximum(top, PEAK))


@functools.cache
def _gains() -> tuple[np.ndarray, np.ndarray]:
    """Return 1024 levels of light from 0 to PEAK, in cd/m2, and the factor by which the curve scales each."""
    peak, white = pq_signal(np.array([PEAK, WHITE]))
    x, highest = np.linspace(0, 1, 1024), white / peak
    knee = 1.5 * highest - 0.5
    t = np.maximum(x - knee, 0) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * highest
    light, output = pq_light(x * peak), pq_light(np.where(x < knee, x, spline) * peak)
    return light, np.divide(output, light, out=np.ones_like(light), where=light > 0)

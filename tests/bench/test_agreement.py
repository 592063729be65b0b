import numpy as np
import pytest

from pbgen.bench.agreement import MOST_PSNR, check, largest_difference, psnr
from pbgen.errors import PBGenError

OURS = np.linspace(-1, 1, 1001, dtype=np.float32).reshape(1, 7, 11, 13)


def test_psnr_is_that_of_the_formula() -> None:
    other = OURS + np.random.default_rng(0).normal(0, 0.01, OURS.shape).astype(np.float32)
    noise = np.sqrt(np.mean((other.astype(np.float64) - OURS) ** 2))
    assert psnr(other, OURS) == pytest.approx(20 * np.log10(2 / noise), abs=1e-6)
    assert psnr(other / 50, OURS / 50) == pytest.approx(psnr(other, OURS), abs=1e-3), "grey images are no easier"
    assert psnr(OURS, OURS) == MOST_PSNR
    assert psnr(np.zeros_like(OURS), OURS) < 30
    assert psnr(np.full(5, 0.2), np.zeros(5)) == pytest.approx(20), "of images of one value"


def test_float_engines_may_differ_by_a_thousandth() -> None:
    near, far = OURS.copy(), OURS.copy()
    near.flat[5] += 9e-4
    far.flat[5] += 2e-3
    assert largest_difference(near, OURS) == pytest.approx(9e-4, rel=1e-3)
    check("openvino", near, OURS)
    with pytest.raises(PBGenError, match=r"OpenVINO makes other images than PBGen: .* 0\.002; .*--engine"):
        check("openvino", far, OURS)
    check("openvino-int8", far, OURS)
    with pytest.raises(PBGenError, match="OpenVINO makes other images"):
        check("openvino", near / 50 + 1e-3, OURS / 50)


@pytest.mark.parametrize("engine", ["pytorch", "openvino-int8"])
def test_broken_images_are_refused(engine: str) -> None:
    broken = OURS.copy()
    broken.flat[5] = np.nan
    with pytest.raises(PBGenError, match="other images than PBGen"):
        check(engine, broken, OURS)
    with pytest.raises(PBGenError, match=r"of shape \(7, 11, 13\), not \(1, 7, 11, 13\)"):
        check(engine, OURS[0], OURS)

"""The quantile of the normal distribution at ``exp(log_p)``, from operations that ONNX has.

Wichura's algorithm AS 241, PPND16 (Applied Statistics 37, 1988), to 16 digits; further out than
its range, Newton's method on the asymptotic series of the tail.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_CENTRE = (
    (
        3.3871328727963666080e0,
        1.3314166789178437745e2,
        1.9715909503065514427e3,
        1.3731693765509461125e4,
        4.5921953931549871457e4,
        6.7265770927008700853e4,
        3.3430575583588128105e4,
        2.5090809287301226727e3,
    ),
    (
        1.0,
        4.2313330701600911252e1,
        6.8718700749205790830e2,
        5.3941960214247511077e3,
        2.1213794301586595867e4,
        3.9307895800092710610e4,
        2.8729085735721942674e4,
        5.2264952788528545610e3,
    ),
)
_NEAR = (
    (
        1.42343711074968357734e0,
        4.63033784615654529590e0,
        5.76949722146069140550e0,
        3.64784832476320460504e0,
        1.27045825245236838258e0,
        2.41780725177450611770e-1,
        2.27238449892691845833e-2,
        7.74545014278341407640e-4,
    ),
    (
        1.0,
        2.05319162663775882187e0,
        1.67638483018380384940e0,
        6.89767334985100004550e-1,
        1.48103976427480074590e-1,
        1.51986665636164571966e-2,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ),
)
_FAR = (
    (
        6.65790464350110377720e0,
        5.46378491116411436990e0,
        1.78482653991729133580e0,
        2.96560571828504891230e-1,
        2.65321895265761230930e-2,
        1.24266094738807843860e-3,
        2.71155556874348757815e-5,
        2.01033439929228813265e-7,
    ),
    (
        1.0,
        5.99832206555887937690e-1,
        1.36929880922735805310e-1,
        1.48753612908506148525e-2,
        7.86869131145613259100e-4,
        1.84631831751005468180e-5,
        1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    ),
)
_BEYOND = 600.0
"""Of ``-log p``: from here on the series of the tail is exact to rounding (z is above 34)."""


def normal_quantile(log_p: Tensor) -> Tensor:
    """Z with ``P(Z < z) = exp(log_p)``: ``(N,)`` float64 at most 0 to ``(N,)`` float64.

    Meant for p up to one half; above, as precise as ``1 - p`` is.
    """
    p = log_p.exp()
    q = p - 0.5
    middle = q * _ratio(_CENTRE, 0.180625 - q * q)
    upper = q > 0
    tail = torch.where(upper, -torch.log((1 - p).clamp(min=1e-300)), -log_p)
    tail = tail.clamp(min=0)
    root = tail.clamp(max=_BEYOND + 100).sqrt()
    outer = torch.where(root <= 5, _ratio(_NEAR, root - 1.6), _ratio(_FAR, root - 5.0))
    outer = torch.where(tail > _BEYOND, _asymptotic(tail), outer)
    signed = torch.where(upper, outer, -outer)
    return torch.where(q.abs() <= 0.425, middle, signed)


def _ratio(table: Sequence[Sequence[float]], x: Tensor) -> Tensor:
    above, below = (_polynomial(each, x) for each in table)
    return above / below


def _polynomial(coefficients: Sequence[float], x: Tensor) -> Tensor:
    constants = torch.tensor(list(reversed(coefficients)), dtype=torch.float64)
    value = constants[0] * torch.ones_like(x)
    for each in constants[1:]:
        value = value * x + each
    return value


def _asymptotic(tail: Tensor) -> Tensor:
    """Z with ``-log P(Z > z) = tail``, for large ``tail``."""
    half = 0.5 * math.log(2 * math.pi)
    wanted = tail.clamp(min=_BEYOND)
    z = (2 * wanted).sqrt()
    for _ in range(4):
        inverse = 1 / (z * z)
        series = 1 - inverse * (1 - 3 * inverse * (1 - 5 * inverse))
        found = 0.5 * z * z + z.log() + half - series.log()
        z = z - (found - wanted) / (z + 1 / z)
    return z

"""exp, log, tanh, sigmoid, erf, pow in arithmetic that processors vectorise. Layer: codegen.

Each function is a short program in the language of scalar expressions, so that all back ends share
it. Errors are relative, over all float32 numbers: below 1e-6. In float64 the C library computes.
Coefficients: least squares at Chebyshev points, reweighted until the largest relative error is as
small as it gets (Lawson 1961); range reduction as in Cody and Waite, Software manual for the
elementary functions (1980).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from tinyflow.codegen.expression import Builder, Scalar, evaluate
from tinyflow.ops.sweep import Level
from tinyflow.types import DType

__all__ = ["FROM_LIBM", "PROGRAMS", "needed_functions", "program"]

FROM_LIBM = frozenset({"exp", "log", "tanh", "erf", "pow"})  # what float64 takes from there


def _polynomial(variable: str, *coefficients: float) -> str:
    """Horner's scheme, lowest coefficient first."""
    text = repr(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        text = f"({text}) * {variable} + {coefficient!r}"
    return text


# exp(x) = 2**k * exp(r) with k the integer nearest to x / ln 2. Adding 1.5 * 2**23 rounds to an
# integer and leaves it in the low bits. 2**k is multiplied in two steps: the result may be
# subnormal. nan passes through every comparison.
_EXP = f"""
x = -104 if x < -104 else x
x = 89 if x > 89 else x
z = x * 1.4426950408889634 + 12582912
k = bits(z) - 1262485504
f = z - 12582912
r = x - f * 0.693145751953125 - f * 1.428606765330187e-06
p = {
    _polynomial(
        "r",
        0.49999993050492,
        0.16666514789116,
        0.04166845683307,
        0.00836941904368,
        0.00138131423707,
    )
}
y = r * r * p + r + 1
h = k >> 1
y * unbits((h + 127) << 23) * unbits((k - h + 127) << 23)
"""

# log(x) = n ln 2 + log(1 + f), x = 2**n * (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2); subnormal x
# are scaled first.
_LOG = f"""
a = x * 8388608 if x < 1.17549435e-38 else x
e = (bits(a) - 1060439283) >> 23
f = unbits(bits(a) - (e << 23)) - 1
n = float32(e) - (23.0 if x < 1.17549435e-38 else 0.0)
p = {
    _polynomial(
        "f",
        *(0.3333331260280, -0.2500000960366, 0.2000211873230, -0.1666799566672, 0.1421955090604),
        *(-0.1240559142177, 0.1188817461791, -0.1167564128535, 0.0674660126548),
    )
}
y = f * f * (f * p - 0.5) + n * 1.428606765330187e-06 + f + n * 0.693145751953125
(y if x < inf else x) if x > 0 else (-inf if x == 0 else nan)
"""

# tanh(x) = x P(x²) / Q(x²); 1 in float32 from 9 on; x itself where x² would underflow.
_TANH = f"""
c = -9 if x < -9 else x
c = 9 if c > 9 else c
u = c * c
p = {
    _polynomial(
        "u",
        *(0.9999999412979, 0.1291923404992, 0.002920767700256, 9.267471504799e-06),
        *(-1.278058145537e-08, 1.825557836133e-11),
    )
}
q = {_polynomial("u", 1.0, 0.46252517935545, 0.023763193090818, 0.00022810099043376)}
y = c * p / q
y = -1 if y < -1 else y
y = 1 if y > 1 else y
x if abs(x) < 0.0004 else y
"""

_SIGMOID = """
e = exp(-abs(x))
s = 1 / (1 + e)
e * s if x < 0 else s
"""

# erf(x) = x P(x²) / Q(x²); 1 in float32 from 3.92 on.
_ERF = f"""
c = -3.92 if x < -3.92 else x
c = 3.92 if c > 3.92 else c
u = c * c
p = {
    _polynomial(
        "u",
        *(1.1283791463032, 0.19039701129598, 0.052747291832181, 0.0037651640581126),
        *(0.00028486484495157, 2.05005892006e-06),
    )
}
q = {
    _polynomial(
        "u",
        *(1.0, 0.5020677013979, 0.11410504079085, 0.01496831254755),
        *(0.00116241147279, 3.80904855016e-05),
    )
}
y = c * p / q
y = -1 if y < -1 else y
1 if y > 1 else y
"""

# x**y = ± 2**(y log2 |x|) in float64, for an error in the exponent would be magnified by up to 128.
# log |x| by the series of artanh((m - 1) / (m + 1)); then the special cases of IEEE 754.
_POW = f"""
a = float64(abs(x))
w = float64(y)
e = (bits(a) - 4604544271217802189) >> 52
m = unbits(bits(a) - (e << 52))
s = (m - 1) / (m + 1)
u = s * s
l = {_polynomial("u", *(2.8853900817779268 / (2 * i + 1) for i in range(8)))}
t = w * (float64(e) + s * l)
t = -200 if t < -200 else t
t = 200 if t > 200 else t
z = t + 6755399441055744
k = bits(z) - 4843621399236968448
r = (t - (z - 6755399441055744)) * 0.6931471805599453
p = {_polynomial("r", 1.0, 1.0, 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720, 1 / 5040, 1 / 40320)}
v = float32(p * unbits((k + 1023) << 52))
v = 1 if abs(x) == 1 else v
v = (0.0 if y > 0 else inf) if x == 0 else v
v = (inf if y > 0 else 0.0) if abs(x) == inf else v
v = nan if x < 0 and x > -inf and floor(y) != y else v
v = -v if bits(x) < 0 and floor(y) == y and floor(y * 0.5) * 2 != y else v
1 if y == 0 or x == 1 else (nan if x != x or y != y else v)
"""

PROGRAMS: Mapping[str, str] = {
    "exp": _EXP,
    "log": _LOG,
    "tanh": _TANH,
    "sigmoid": _SIGMOID,
    "erf": _ERF,
    "pow": _POW,
    "rsqrt": "1 / sqrt(x)",
}


@lru_cache
def program(name: str, dtype: DType) -> tuple[tuple[Scalar, ...], Scalar] | None:
    """Scalars of a function in order, and its result; None if the C library has to compute it.

    Its parameters are the scalars of op "parameter", ``x`` and for pow ``y``.
    """
    if name not in PROGRAMS or (dtype is not DType.float32 and name in FROM_LIBM):
        return None
    builder = Builder()
    names: dict[str, Scalar | bool | int | float] = {
        key: builder.make("parameter", (), dtype, Level.FULL, key)
        for key in (("x", "y") if name == "pow" else ("x",))
    }
    lines = PROGRAMS[name].strip().splitlines()
    for line in _statements(lines):
        target, equals, formula = line.partition(" = ")
        result = evaluate(formula if equals else target, names, builder, dtype)
        names[target] = result
    return tuple(builder.order), result


def _statements(lines: list[str]) -> list[str]:
    """Join lines inside brackets."""
    found, depth = [""], 0
    for line in lines:
        found[-1] += line
        depth += line.count("(") - line.count(")")
        if not depth:
            found.append("")
    return [line for line in found if line]


def needed_functions(scalars: tuple[Scalar, ...]) -> tuple[tuple[str, DType], ...]:
    """Functions that these scalars call, each after those that it calls itself."""
    found: dict[tuple[str, DType], None] = {}
    for scalar in scalars:
        if scalar.op in PROGRAMS and (scalar.op, scalar.dtype) not in found:
            made = program(scalar.op, scalar.dtype)
            for inner in needed_functions(made[0]) if made else ():
                found[inner] = None
            found[scalar.op, scalar.dtype] = None
    return tuple(found)

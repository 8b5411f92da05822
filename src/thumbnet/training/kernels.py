"""Loops over bf16 values and bytes, compiled by numba for this processor; `thumbnet.training.launching` runs them.

Most of them treat values of channels-last tensors as a matrix of places and channels, cut into parts of equally many
places; what they compute is in fp32. Each part is computed by one thread, in one order: results do not depend on the
number of threads.

Compiled code lies in numba's cache (`thumbnet.training.kernel_cache`): only the first run in a checkout waits some
seconds for it, and not even that one where the installation has compiled it. The cache is renewed where this file
changes, and no other: what the loops are compiled with stands here.
"""

import functools
import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, types  # type: ignore[attr-defined]  # numba names no carray in __all__
from numba.core import config
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic, models, register_model

from thumbnet.training.kernel_cache import kept_with_the_checkout

#: Contraction to fused multiply-adds is allowed, and no other change of order; NaNs and infinities pass.
_OPTIONS: dict[str, Any] = {"fastmath": {"contract", "nsz"}, "error_model": "numpy"}

_jit: Any = njit(**_OPTIONS)
_jit_inline: Any = njit(inline="always", **_OPTIONS)  # what it is given as a constant stays one
_intrinsic: Any = intrinsic  # its type counts the argument that only numba passes

#: The activations that kernels know, and their numbers there.
ACTIVATIONS = {"none": 0, "relu": 1, "leaky_relu": 2, "elu": 3, "silu": 4, "tanh": 5, "selu": 6}

#: The last of them that takes no exponential.
ACTIVATIONS_WITHOUT_EXP = ACTIVATIONS["leaky_relu"]

#: A row of coefficients is to stay in the processor's nearest cache: layers of more channels are left to PyTorch.
MOST_CHANNELS = 1024

#: Values that a row of coefficients is repeated to, so that inner loops are long even for few channels.
_ROW = 256

#: Places of an argument list, all of them 64-bit integers: the number of the next part, then the sizes, and from
#: TENSORS on the addresses; ARGUMENTS is their number.
NEXT, PARTS, PLACES, CHANNELS, STEP, TENSORS, ARGUMENTS = 0, 1, 2, 3, 4, 5, 16

f32, u8, u16, u32, u64 = np.float32, np.uint8, np.uint16, np.uint32, np.uint64


@functools.cache
def compiled(kernel: str) -> Any:
    """A kernel by its name, which is a key of `BODIES`, with an activation's after a dot where it takes one."""
    name, _, activation = kernel.partition(".")
    body = BODIES[name](ACTIVATIONS[activation]) if activation else BODIES[name]
    with kept_with_the_checkout():
        return cfunc(types.void(types.CPointer(types.int64)), cache=True, **_OPTIONS)(body)


@_intrinsic
def _bits(_: Any, number: Any) -> Any:
    """The bits of an fp32 number."""
    return types.uint32(types.float32), lambda context, builder, signature, values: builder.bitcast(
        values[0], ir.IntType(32)
    )


@_intrinsic
def _number(_: Any, bits: Any) -> Any:
    """The fp32 number of some bits."""
    return types.float32(types.uint32), lambda context, builder, signature, values: builder.bitcast(
        values[0], ir.FloatType()
    )


@_intrinsic
def _take(_: Any, counter: Any) -> Any:
    """Counts a number up, and gives what it was: no two threads get the same."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.atomic_rmw("add", values[0], ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(types.CPointer(types.int64)), generate


@_intrinsic
def _wait(_: Any, barrier: Any) -> Any:
    """Until all threads are here; takes the address of OpenMP's barrier."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.call(builder.inttoptr(values[0], ir.FunctionType(ir.VoidType(), []).as_pointer()), [])
        return context.get_dummy_value()

    return types.none(types.int64), generate


@_intrinsic
def _halves(_: Any, address: Any) -> Any:
    """An address of bf16 values, as integers of 16 bits."""
    return types.CPointer(types.uint16)(types.int64), _to_pointer


@_intrinsic
def _bytes(_: Any, address: Any) -> Any:
    """An address of bytes."""
    return types.CPointer(types.uint8)(types.int64), _to_pointer


@_intrinsic
def _integers(_: Any, address: Any) -> Any:
    """An address of integers of 64 bits."""
    return types.CPointer(types.int64)(types.int64), _to_pointer


@_intrinsic
def _floats(_: Any, address: Any) -> Any:
    """An address of fp32 values."""
    return types.CPointer(types.float32)(types.int64), _to_pointer


def _to_pointer(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    return builder.inttoptr(values[0], context.get_value_type(signature.return_type))


@_jit
def _widen(half):
    return _number(u32(half) << u32(16))


@_jit
def _narrow(number):
    """Rounded to bf16, to the nearest and to the even one of two."""
    bits = _bits(number)
    return u16((bits + u32(0x7FFF) + ((bits >> u32(16)) & u32(1))) >> u32(16))


class _BFloat(ir.Type):  # type: ignore[misc]  # llvmlite has no types
    """LLVM's type of bf16 numbers, which llvmlite has no name for."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


@_intrinsic
def _rounded(_: Any, number: Any) -> Any:
    """As `_narrow`, by an instruction; NaNs stay NaNs, and numbers below 2^-126 may become 0."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(builder.fptrunc(values[0], _BFloat()), ir.IntType(16))

    return types.uint16(types.float32), generate


def _has_rounding() -> bool:
    """Whether numba compiles for a processor that has it; for others LLVM calls a function that is not there."""
    wanted: str | None = getattr(config, "CPU_FEATURES", None)  # from NUMBA_CPU_FEATURES and its like
    features = get_host_cpu_features() if wanted is None else wanted
    return "+avx512bf16" in features.split(",")


#: As `_narrow`, the faster way of this processor.
_narrow_fast = _rounded if _has_rounding() else _narrow


@_jit
def _narrow_activated(kind, number):
    """As `_narrow`; beside less than an exponential LLVM takes the instruction for too dear, and makes no vectors."""
    return _narrow_fast(number) if kind > ACTIVATIONS_WITHOUT_EXP else _narrow(number)


@_intrinsic
def _kept(_: Any, number: Any) -> Any:
    """A number that the compiler knows nothing about: it stays in a register, where a constant is loaded each time."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        bits = ir.IntType(32)
        given = builder.bitcast(values[0], bits)
        return builder.bitcast(builder.asm(ir.FunctionType(bits, [bits]), "", "=r,0", [given], False), ir.FloatType())

    return types.float32(types.float32), generate


@_jit
def _constants():
    """Of `_exp`, and 1."""
    return (
        _kept(f32(1.4426950408889634)),  # log2(e)
        _kept(f32(-1.4426950408889634)),
        _kept(f32(-87.0)),
        _kept(f32(87.0)),
        _kept(f32(12582912.0)),  # 1.5·2^23: of what is added to it, the whole part is in the lowest bits
        _kept(f32(0.05500905777)),  # the least relative error on [-0.5, 0.5], and none at 0
        _kept(f32(0.24221097518)),
        _kept(f32(0.69328289796)),
        _kept(f32(1.0)),
    )


@_jit
def _exp(x, constants, negative=False):
    """exp(x), or exp(-x), within 1.1e-4, a twentieth of what bf16 rounds by.

    It is 2 to the x·log2(e): its whole part goes to the exponent, for the rest there is a polynomial.
    """
    plus, minus, least, most, whole, p3, p2, p1, one = constants
    scale = minus if negative else plus
    x = least if x < least else x
    x = most if x > most else x
    shifted = x * scale + whole
    rest = x * scale - (shifted - whole)
    power = ((p3 * rest + p2) * rest + p1) * rest + one
    return _number(_bits(power) + (_bits(shifted) << u32(23)))


@_jit
def _sigmoid(z, constants):
    one = constants[-1]
    return one / (one + _exp(z, constants, True))


@_jit
def _activated(kind, z, constants):
    if kind == 1:
        return f32(0.0) if z < f32(0.0) else z
    if kind == 2:
        return f32(0.01) * z if z < f32(0.0) else z
    if kind == 3:
        return _exp(z, constants) - f32(1.0) if z < f32(0.0) else z
    if kind == 4:
        return z * _sigmoid(z, constants)
    if kind == 5:
        return f32(2.0) * _sigmoid(f32(2.0) * z, constants) - f32(1.0)
    if kind == 6:
        below = f32(1.7580993408473766) * (_exp(z, constants) - f32(1.0))
        return below if z < f32(0.0) else f32(1.0507009873554805) * z
    return z


@_jit
def _slope(kind, z, constants):
    if kind == 1:
        return f32(1.0) if z > f32(0.0) else f32(0.0)
    if kind == 2:
        return f32(1.0) if z > f32(0.0) else f32(0.01)
    if kind == 3:
        return f32(1.0) if z > f32(0.0) else _exp(z, constants)
    if kind == 4:
        part = _sigmoid(z, constants)
        return part * (constants[-1] + z * (constants[-1] - part))
    if kind == 5:
        part = _sigmoid(f32(2.0) * z, constants)
        return f32(4.0) * part * (f32(1.0) - part)
    if kind == 6:
        return f32(1.0507009873554805) if z > f32(0.0) else f32(1.7580993408473766) * _exp(z, constants)
    return f32(1.0)


@_jit
def _row_length(channels):
    """A multiple of the channels of about `_ROW` values, and of a vector's length where there is one that small."""
    unit = channels
    for factor in (64, 16):
        common = channels * factor // math.gcd(channels, factor)
        if common <= MOST_CHANNELS:
            unit = common
            break
    return unit * max(1, _ROW // unit)


@_jit
def _repeat(source, target, channels, length):
    for start in range(0, length, channels):
        for channel in range(channels):
            target[start + channel] = source[channel]


@_jit
def _fold(row, channels, length):
    """Adds up what belongs to one channel; the sums stand at the row's begin."""
    for start in range(channels, length, channels):
        for channel in range(channels):
            row[channel] += row[start + channel]


R1, R2, R3, R4, R5 = (place * MOST_CHANNELS for place in range(1, 6))


@_jit
def _copy_pixel(source, place, target, column, channels):
    """A pixel of a line, black where its place is negative."""
    for channel in range(channels):
        target[column * channels + channel] = source[place * channels + channel] if place >= 0 else u8(0)


@_jit
def _copy(source, target):
    for i in range(len(target)):
        target[i] = source[i]


@_jit
def _copy_mirrored(source, target, channels):
    """Pixels from the last to the first; three channels by name, since loops of unknown length are slow."""
    last = len(target) - channels
    if channels == 3:
        for i in range(0, len(target), 3):
            target[u64(i)] = source[u64(last - i)]
            target[u64(i + 1)] = source[u64(last - i + 1)]
            target[u64(i + 2)] = source[u64(last - i + 2)]
    else:
        for i in range(0, len(target), channels):
            for channel in range(channels):
                target[u64(i + channel)] = source[u64(last - i + channel)]


def _move(arguments):
    """x (images, places, step, channels) of bytes, chosen -> y: the chosen ones of its images, cropped and mirrored.

    parts: how many are chosen; places, step: height and width. Arguments: x; chosen; top, left (parts), the first row
    and column that are seen of an image with wider borders; mirrored (parts), 1 or 0; rows, columns of an image that
    each row and column with borders comes from, -1 for black; y; how many pixels a border has.
    """
    a = carray(arguments, (ARGUMENTS,), np.int64)
    count, height, channels, width, border = a[PARTS], a[PLACES], a[CHANNELS], a[STEP], a[TENSORS + 8]
    line = width * channels
    size = height * line
    chosen = carray(_integers(a[TENSORS + 1]), count, np.int64)
    tops, lefts = carray(_integers(a[TENSORS + 2]), count, np.int64), carray(_integers(a[TENSORS + 3]), count, np.int64)
    mirrored = carray(_bytes(a[TENSORS + 4]), count, np.uint8)
    rows = carray(_integers(a[TENSORS + 5]), height + 2 * border, np.int64)
    columns = carray(_integers(a[TENSORS + 6]), width + 2 * border, np.int64)
    y = carray(_bytes(a[TENSORS + 7]), count * size, np.uint8)
    while True:
        image = _take(arguments)
        if image >= count:
            break
        x = carray(_bytes(a[TENSORS] + chosen[image] * size), size, np.uint8)
        top, left, is_mirrored = tops[image], lefts[image], mirrored[image] != 0
        # Columns from `begin` to `end` show pixels of the image that lie side by side, those beside them its border.
        begin, end = min(max(border - left, 0), width), max(min(border - left, 0) + width, 0)
        ours = columns[left : left + width]
        if is_mirrored:
            begin, end = width - end, width - begin
            ours = ours[::-1]
        if begin >= end:  # none
            begin = end = width
        for row in range(height):
            target = y[image * size + row * line : image * size + (row + 1) * line]
            from_row = rows[top + row]
            if from_row < 0:
                target[:] = u8(0)
                continue
            source = x[from_row * line : (from_row + 1) * line]
            for column in range(begin):
                _copy_pixel(source, ours[column], target, column, channels)
            for column in range(end, width):
                _copy_pixel(source, ours[column], target, column, channels)
            seen = target[begin * channels : end * channels]
            if is_mirrored and begin < end:
                _copy_mirrored(source[ours[end - 1] * channels :], seen, channels)
            elif begin < end:
                _copy(source[ours[begin] * channels :], seen)


def _scale(arguments):
    """x (images, values) of bytes, mean and std (step), which repeat -> y in bf16: (x - mean) / std."""
    a = carray(arguments, (ARGUMENTS,), np.int64)
    images, values, period = a[PARTS], a[PLACES], a[STEP]
    x = carray(_bytes(a[TENSORS]), images * values, np.uint8)
    mean, std = np.empty(values, np.float32), np.empty(values, np.float32)
    _repeat(carray(_floats(a[TENSORS + 1]), period, np.float32), mean, period, values)
    _repeat(carray(_floats(a[TENSORS + 2]), period, np.float32), std, period, values)
    y = carray(_halves(a[TENSORS + 3]), images * values, np.uint16)
    while True:
        image = _take(arguments)
        if image >= images:
            break
        ours, out = x[image * values : (image + 1) * values], y[image * values : (image + 1) * values]
        for i in range(len(ours)):
            out[i] = _narrow_fast((f32(ours[i]) - mean[i]) / std[i])


@_jit
def _statistics(arguments):
    """x (parts, places, channels) -> sums (2, parts, channels): means, and sums of squared differences from them.

    Arguments as for `_make_normalise`; the result is True in one thread, False in all others.
    """
    a = carray(arguments, (ARGUMENTS,), np.int64)
    parts, places, channels = a[PARTS], a[PLACES], a[CHANNELS]
    size = places * channels
    x = carray(_halves(a[TENSORS]), parts * size, np.uint16)
    sums = carray(_floats(a[TENSORS + 1]), 2 * parts * channels, np.float32)
    length = _row_length(channels)
    rows = np.empty(R3, np.float32)  # what is subtracted from the values, sums, sums of squares
    while True:
        part = _take(arguments)
        if part >= parts:
            break
        ours = x[part * size : (part + 1) * size]
        means, squares = sums[part * channels :], sums[(parts + part) * channels :]
        for start in range(0, length, channels):
            for channel in range(channels):
                rows[start + channel] = _widen(ours[channel])  # a value near the mean: squares stay small
        rows[R1:] = f32(0.0)
        for start in range(0, size, length):
            values = ours[start : start + length]
            for i in range(len(values)):
                difference = _widen(values[i]) - rows[i]
                rows[i + R1] += difference
                rows[i + R2] += difference * difference
        _fold(rows[R1:], channels, length)
        _fold(rows[R2:], channels, length)
        for channel in range(channels):
            total = rows[channel + R1]
            means[channel] = rows[channel] + total / places
            squares[channel] = rows[channel + R2] - total * total / places
    return part == parts


@_jit
def _moments(arguments):
    """What `_statistics` has summed -> table (4, sets, channels); running averages follow. By one thread.

    A set is what shares its coefficients: all parts, or each of them, whose channels then share means and variances in
    groups. The table: mean, 1 / standard deviation, and with the weights, scale and shift.
    """
    a = carray(arguments, (ARGUMENTS,), np.int64)
    parts, channels = a[PARTS], a[CHANNELS]
    sums = carray(_floats(a[TENSORS + 1]), 2 * parts * channels, np.float32)
    means, squares = sums[: parts * channels], sums[parts * channels :]
    weight = carray(_floats(a[TENSORS + 2]), channels, np.float32)
    bias = carray(_floats(a[TENSORS + 3]), channels, np.float32)
    numbers = carray(_floats(a[TENSORS + 4]), 5, np.float32)
    places, epsilon, share, unbiased, groups = numbers[0], numbers[1], numbers[2], numbers[3], np.int64(numbers[4])
    sets = parts if groups else 1
    table = carray(_floats(a[TENSORS + 5]), 4 * sets * channels, np.float32)
    size = sets * channels
    mean, rate, scale, shift = table[:size], table[size : 2 * size], table[2 * size : 3 * size], table[3 * size :]
    if groups:
        width = channels // groups
        for start in range(0, size, width):
            total = f32(0.0)
            for i in range(start, start + width):
                total += means[i]
            middle = total / f32(width)
            total = f32(0.0)
            for i in range(start, start + width):
                total += squares[i] / places + (means[i] - middle) * (means[i] - middle)
            variance = total / f32(width)
            mean[start : start + width] = middle
            rate[start : start + width] = f32(1.0) / np.sqrt(variance + epsilon)
    else:
        mean[:] = f32(0.0)
        rate[:] = f32(0.0)
        for start in range(0, parts * channels, channels):
            for channel in range(channels):
                mean[channel] += means[start + channel] / f32(parts)
        for start in range(0, parts * channels, channels):
            for channel in range(channels):
                apart = means[start + channel] - mean[channel]
                rate[channel] += (squares[start + channel] / places + apart * apart) / f32(parts)
        if a[TENSORS + 6]:
            running_mean = carray(_floats(a[TENSORS + 6]), channels, np.float32)
            running_variance = carray(_floats(a[TENSORS + 7]), channels, np.float32)
            for channel in range(channels):
                running_mean[channel] += share * (mean[channel] - running_mean[channel])
                running_variance[channel] += share * (rate[channel] * unbiased - running_variance[channel])
        for channel in range(channels):
            rate[channel] = f32(1.0) / np.sqrt(rate[channel] + epsilon)
    for start in range(0, size, channels):
        for channel in range(channels):
            i = start + channel
            scale[i] = rate[i] * weight[channel]
            shift[i] = bias[channel] - mean[i] * scale[i]


@_jit_inline
def _apply(kind, arguments):
    """x, table, added or none -> y: the activation of x·scale + shift, and something added."""
    a = carray(arguments, (ARGUMENTS,), np.int64)
    parts, places, channels, step = a[PARTS], a[PLACES], a[CHANNELS], a[STEP]
    size, coefficients = places * channels, parts * channels if step else channels
    x = carray(_halves(a[TENSORS]), parts * size, np.uint16)
    table = carray(_floats(a[TENSORS + 5]), 4 * coefficients, np.float32)
    scale, shift = table[2 * coefficients :], table[3 * coefficients :]
    added = carray(_halves(a[TENSORS + 8]), parts * size, np.uint16)
    y = carray(_halves(a[TENSORS + 9]), parts * size, np.uint16)
    length = _row_length(channels)
    rows = np.empty(R2, np.float32)
    constants = _constants()
    while True:
        part = _take(arguments)
        if part >= parts:
            break
        ours = x[part * size : (part + 1) * size]
        out = y[part * size : (part + 1) * size]
        other = added[part * size : (part + 1) * size]
        _repeat(scale[part * step :], rows, channels, length)
        _repeat(shift[part * step :], rows[R1:], channels, length)
        for start in range(0, size, length):
            values, results = ours[start : start + length], out[start : start + length]
            if a[TENSORS + 8]:
                more = other[start : start + length]
                for i in range(len(values)):
                    z = _widen(values[i]) * rows[i] + rows[i + R1]
                    results[i] = _narrow_activated(kind, _activated(kind, z, constants) + _widen(more[i]))
            else:
                for i in range(len(values)):
                    results[i] = _narrow_activated(
                        kind, _activated(kind, _widen(values[i]) * rows[i] + rows[i + R1], constants)
                    )


def _make_normalise(kind):
    def normalise(arguments):
        """x (parts, places, channels), weight, bias (channels), added or none -> y: act(x·scale + shift) + added.

        On the way: sums (2, parts, channels), and a table of coefficients, see `_moments`. The numbers: values of a
        channel in a part, ε, the share of these in the running averages (channels; or none), what makes their variance
        unbiased, and groups of channels, 0 where all parts share their coefficients.

        Arguments: x, sums, weight, bias, numbers, table, two running averages or none, added, y, the barrier. Without
        sums the table is given, and nothing but it, x, added and y is looked at.
        """
        a = carray(arguments, (ARGUMENTS,), np.int64)
        if a[TENSORS + 1] == 0:
            _apply(kind, arguments)
            return
        is_first = _statistics(arguments)
        _wait(a[TENSORS + 10])
        if is_first:
            _moments(arguments)
            a[NEXT] = 0  # all parts once more
        _wait(a[TENSORS + 10])
        _apply(kind, arguments)

    return normalise


@_jit_inline
def _sums(kind, arguments):
    """x, dy, table -> dz, and of each part Σdz and Σdz·(x - mean); True in one thread, False in all others."""
    a = carray(arguments, (ARGUMENTS,), np.int64)
    parts, places, channels, step = a[PARTS], a[PLACES], a[CHANNELS], a[STEP]
    size, coefficients = places * channels, parts * channels if step else channels
    x = carray(_halves(a[TENSORS]), parts * size, np.uint16)
    dy = carray(_halves(a[TENSORS + 1]), parts * size, np.uint16)
    table = carray(_floats(a[TENSORS + 2]), 4 * coefficients, np.float32)
    scale, shift = table[2 * coefficients :], table[3 * coefficients :]
    dz = carray(_halves(a[TENSORS + 3]), parts * size, np.uint16)
    both = carray(_floats(a[TENSORS + 4]), 2 * parts * channels, np.float32)
    length = _row_length(channels)
    rows = np.empty(R5, np.float32)
    constants = _constants()
    while True:
        part = _take(arguments)
        if part >= parts:
            break
        ours = x[part * size : (part + 1) * size]
        above = dy[part * size : (part + 1) * size]
        out = dz[part * size : (part + 1) * size]
        _repeat(scale[part * step :], rows, channels, length)
        _repeat(shift[part * step :], rows[R1:], channels, length)
        _repeat(table[part * step :], rows[R2:], channels, length)
        rows[R3:] = f32(0.0)
        for start in range(0, size, length):
            values, gradients = ours[start : start + length], above[start : start + length]
            results = out[start : start + length]
            for i in range(len(values)):
                value = _widen(values[i])
                gradient = _widen(gradients[i]) * _slope(kind, value * rows[i] + rows[i + R1], constants)
                results[i] = _narrow_activated(kind, gradient)
                rows[i + R3] += gradient
                rows[i + R4] += gradient * (value - rows[i + R2])
        _fold(rows[R3:], channels, length)
        _fold(rows[R4:], channels, length)
        first, second = both[part * channels :], both[(parts + part) * channels :]
        for channel in range(channels):
            first[channel] = rows[channel + R3]
            second[channel] = rows[channel + R4]
    return part == parts


def _make_differentiate(kind):
    def differentiate(arguments):
        """x, dy (parts, places, channels), table -> dx, and the gradients of weight and bias, (2, channels).

        With z as what is activated. On the way, of each part: Σdz and Σdz·(x - mean), (2, parts, channels); and
        coefficients, see `_gradients`. The numbers: values that share a mean, and groups as for `_make_normalise`.

        Arguments: x, dy, table, dx, sums, weight, numbers, coefficients, gradients, the barrier.
        """
        is_first = _sums(kind, arguments)
        a = carray(arguments, (ARGUMENTS,), np.int64)
        _wait(a[TENSORS + 9])
        if is_first:
            _gradients(arguments)
            a[NEXT] = 0  # all parts once more
        _wait(a[TENSORS + 9])
        _combine(arguments)

    return differentiate


@_jit
def _gradients(arguments):
    """What `_sums` has summed -> by, plus (sets, channels); gradients of weight and bias. By one thread.

    dx = rate · (weight·dz - its mean - normalised x · the mean of weight·dz·normalised x), for which `_combine` takes
    dz·scale + x·by + plus.
    """
    a = carray(arguments, (ARGUMENTS,), np.int64)
    parts, channels = a[PARTS], a[CHANNELS]
    sums = carray(_floats(a[TENSORS + 4]), 2 * parts * channels, np.float32)
    first, second = sums[: parts * channels], sums[parts * channels :]
    weight = carray(_floats(a[TENSORS + 5]), channels, np.float32)
    numbers = carray(_floats(a[TENSORS + 6]), 2, np.float32)
    share, groups = f32(-1.0) / numbers[0], np.int64(numbers[1])
    size = parts * channels if groups else channels
    table = carray(_floats(a[TENSORS + 2]), 4 * size, np.float32)
    mean, rate = table[:size], table[size : 2 * size]
    results = carray(_floats(a[TENSORS + 7]), 2 * size, np.float32)
    by, plus = results[:size], results[size:]
    both = carray(_floats(a[TENSORS + 8]), 2 * channels, np.float32)
    of_weight, of_bias = both[:channels], both[channels:]
    both[:] = f32(0.0)
    if groups:
        width = channels // groups
        for part in range(parts):
            for group in range(groups):
                start = part * channels + group * width
                by_sum = plus_sum = f32(0.0)
                for i in range(width):
                    channel = group * width + i
                    sloped = second[start + i] * rate[start + i]
                    of_weight[channel] += sloped
                    of_bias[channel] += first[start + i]
                    by_sum += weight[channel] * sloped
                    plus_sum += weight[channel] * first[start + i]
                slope = by_sum * rate[start] * rate[start] * share
                by[start : start + width] = slope
                plus[start : start + width] = plus_sum * rate[start] * share - slope * mean[start]
    else:
        for start in range(0, parts * channels, channels):
            for channel in range(channels):
                of_weight[channel] += second[start + channel] * rate[channel]
                of_bias[channel] += first[start + channel]
        for channel in range(channels):
            scaled = weight[channel] * rate[channel] * share
            by[channel] = scaled * rate[channel] * of_weight[channel]
            plus[channel] = scaled * of_bias[channel] - by[channel] * mean[channel]


@_jit
def _combine(arguments):
    """x, dz, table, by and plus (2, sets, channels) -> dx in the place of dz: dz·scale + x·by + plus."""
    a = carray(arguments, (ARGUMENTS,), np.int64)
    parts, places, channels, step = a[PARTS], a[PLACES], a[CHANNELS], a[STEP]
    size, coefficients = places * channels, parts * channels if step else channels
    x = carray(_halves(a[TENSORS]), parts * size, np.uint16)
    scale = carray(_floats(a[TENSORS + 2]), 4 * coefficients, np.float32)[2 * coefficients :]
    dz = carray(_halves(a[TENSORS + 3]), parts * size, np.uint16)
    by = carray(_floats(a[TENSORS + 7]), 2 * coefficients, np.float32)
    plus = by[coefficients:]
    length = _row_length(channels)
    rows = np.empty(R3, np.float32)
    while True:
        part = _take(arguments)
        if part >= parts:
            break
        ours = x[part * size : (part + 1) * size]
        out = dz[part * size : (part + 1) * size]
        _repeat(scale[part * step :], rows, channels, length)
        _repeat(by[part * step :], rows[R1:], channels, length)
        _repeat(plus[part * step :], rows[R2:], channels, length)
        for start in range(0, size, length):
            values, results = ours[start : start + length], out[start : start + length]
            for i in range(len(values)):
                gradient = _widen(results[i]) * rows[i] + _widen(values[i]) * rows[i + R1] + rows[i + R2]
                results[i] = _narrow_fast(gradient)


def _pool(arguments):
    """x (images, height·width, channels) -> y, and which of each four it was, the first largest; step: height / 2."""
    a = carray(arguments, (ARGUMENTS,), np.int64)
    images, places, channels, height = a[PARTS], a[PLACES], a[CHANNELS], a[STEP]
    width = places // height // 4
    line = 2 * width * channels
    x = carray(_halves(a[TENSORS]), images * places * channels, np.uint16)
    y = carray(_halves(a[TENSORS + 1]), images * height * width * channels, np.uint16)
    which = carray(_bytes(a[TENSORS + 2]), images * height * width * channels, np.uint8)
    largest, below = np.empty(line, np.float32), np.empty(line, np.float32)
    while True:
        image = _take(arguments)
        if image >= images:
            break
        for row in range(image * height, (image + 1) * height):
            first, second = x[2 * row * line : (2 * row + 1) * line], x[(2 * row + 1) * line : (2 * row + 2) * line]
            for i in range(line):
                upper, lower = _widen(first[i]), _widen(second[i])
                is_lower = lower > upper or lower != lower  # NaNs pass
                largest[i] = lower if is_lower else upper
                below[i] = f32(1.0) if is_lower else f32(0.0)
            for column in range(width):
                start, target = 2 * column * channels, (row * width + column) * channels
                values, places_ = largest[start : start + 2 * channels], below[start : start + 2 * channels]
                results, chosen = y[target : target + channels], which[target : target + channels]
                for i in range(channels):
                    left, right = values[i], values[i + channels]
                    left_below, right_below = places_[i], places_[i + channels]
                    is_right = right > left or right != right or (right == left and right_below < left_below)
                    results[i] = u16(_bits(right if is_right else left) >> u32(16))
                    chosen[i] = u8(f32(2.0) * right_below + f32(1.0) if is_right else f32(2.0) * left_below)


def _unpool(arguments):
    """dy, which -> dx; as `_pool`."""
    a = carray(arguments, (ARGUMENTS,), np.int64)
    images, places, channels, height = a[PARTS], a[PLACES], a[CHANNELS], a[STEP]
    width = places // height // 4
    line = 2 * width * channels
    dy = carray(_halves(a[TENSORS]), images * height * width * channels, np.uint16)
    which = carray(_bytes(a[TENSORS + 1]), images * height * width * channels, np.uint8)
    dx = carray(_halves(a[TENSORS + 2]), images * places * channels, np.uint16)
    while True:
        image = _take(arguments)
        if image >= images:
            break
        for row in range(image * height, (image + 1) * height):
            for column in range(width):
                source = (row * width + column) * channels
                target = 2 * row * line + 2 * column * channels
                gradients, chosen = dy[source : source + channels], which[source : source + channels]
                upper, lower = dx[target : target + 2 * channels], dx[target + line : target + line + 2 * channels]
                for i in range(channels):
                    upper[i] = gradients[i] if chosen[i] == u8(0) else u16(0)
                    upper[i + channels] = gradients[i] if chosen[i] == u8(1) else u16(0)
                    lower[i] = gradients[i] if chosen[i] == u8(2) else u16(0)
                    lower[i + channels] = gradients[i] if chosen[i] == u8(3) else u16(0)


#: Channels that 1×1 convolutions compute with at once, whatever the length of the processor's vectors.
LANES = 16


class _LanesType(types.Type):
    def __init__(self) -> None:
        super().__init__("Lanes")


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.VectorType(ir.FloatType(), LANES))


#: fp32 values that stay in the processor's registers: LLVM keeps no slice of an array there.
_lanes = _LanesType()


def _lanes_at(context: Any, builder: Any, kind: Any, array: Any, place: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [place]), context.get_value_type(_lanes).as_pointer())


@_intrinsic
def _load(_: Any, array: Any, place: Any) -> Any:
    """The lanes that begin at a place of an fp32 array."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(_lanes_at(context, builder, signature.args[0], *values), align=4)

    return _lanes(array, types.int64), generate


@_intrinsic
def _store(_: Any, array: Any, place: Any, lanes: Any) -> Any:
    """Writes lanes to an fp32 array, from a place on."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store(values[2], _lanes_at(context, builder, signature.args[0], *values[:2]), align=4)
        return context.get_dummy_value()

    return types.none(array, types.int64, _lanes), generate


@_intrinsic
def _fill(_: Any, number: Any) -> Any:
    """Lanes of one fp32 number."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        nothing = ir.Constant(context.get_value_type(_lanes), ir.Undefined)
        first = builder.insert_element(nothing, values[0], ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))

    return _lanes(types.float32), generate


@_jit
def _repeated(array, place):
    """Lanes of the number at a place; of a signed one numba would ask each time whether it is negative."""
    return _fill(array[u64(place)])


@_intrinsic
def _add_product(_: Any, lanes: Any, first: Any, second: Any) -> Any:
    """lanes + first·second."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        product = builder.fmul(values[1], values[2], flags=["contract"])
        return builder.fadd(values[0], product, flags=["contract"])

    return _lanes(_lanes, _lanes, _lanes), generate


@_intrinsic
def _where_larger(_: Any, new: Any, old: Any, yes: Any, no: Any) -> Any:
    """`yes` in the lanes where the new number is larger than the old one, or a NaN; `no` elsewhere."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        new, old, yes, no = values
        is_larger = builder.fcmp_ordered(">", new, old)
        return builder.select(builder.or_(is_larger, builder.fcmp_unordered("uno", new, new)), yes, no)

    return _lanes(_lanes, _lanes, _lanes, _lanes), generate


@_jit
def _largest(first, second, third, fourth):
    """The largest of four lanes' numbers, the last NaN if there is one; and which it was, the first of equal ones."""
    place = _where_larger(second, first, _fill(f32(1.0)), _fill(f32(0.0)))
    largest = _where_larger(second, first, second, first)
    place = _where_larger(third, largest, _fill(f32(2.0)), place)
    largest = _where_larger(third, largest, third, largest)
    place = _where_larger(fourth, largest, _fill(f32(3.0)), place)
    largest = _where_larger(fourth, largest, fourth, largest)
    return largest, place


@_jit
def _zeros(size):
    """An fp32 array that begins where a line of the processor's caches does: lanes do not lie in two of them."""
    array = np.zeros(size + LANES, np.float32)
    return array[-array.ctypes.data % (4 * LANES) // 4 :]


@_jit
def filled_up(channels):
    """Channels, and as many more as fill up the last lanes."""
    return (channels + LANES - 1) // LANES * LANES


@_jit
def _space(source, target, count, channels):
    """Moves rows of channels apart, so that each begins a whole number of lanes after the one before it."""
    for row in range(count):
        for channel in range(0, channels, LANES):
            _store(target, row * filled_up(channels) + channel, _load(source, row * channels + channel))


@_jit
def _close(source, target, count, channels):
    """Moves them together again; lanes beyond a row are overwritten by the next one."""
    for row in range(count):
        for channel in range(0, channels, LANES):
            _store(target, row * channels + channel, _load(source, row * filled_up(channels) + channel))


def _conv_pool(arguments):
    """x, weights (step, channels) and biases in fp32 or none, half the width -> y, and which of each four it was.

    A 1×1 convolution, and of its values the largest of each 2×2; places: how many lines y has in each part.
    """
    a = carray(arguments, (ARGUMENTS,), np.int64)
    parts, lines, channels, outputs, width = a[PARTS], a[PLACES], a[CHANNELS], a[STEP], a[TENSORS + 5]
    line, results = 2 * width * channels, width * outputs
    x = carray(_halves(a[TENSORS]), parts * lines * 2 * line, np.uint16)
    weights = carray(_floats(a[TENSORS + 1]), outputs * channels, np.float32)
    biases = carray(_floats(a[TENSORS + 2]), outputs, np.float32)
    y = carray(_halves(a[TENSORS + 3]), parts * lines * results, np.uint16)
    which = carray(_bytes(a[TENSORS + 4]), parts * lines * results, np.uint8)
    spaced = filled_up(outputs)
    columns = _zeros(channels * spaced)
    summands = _zeros(spaced)
    for output in range(outputs):
        for channel in range(channels):
            columns[channel * spaced + output] = _widen(_narrow(weights[output * channels + channel]))
        if a[TENSORS + 2]:
            summands[output] = biases[output]
    pairs = (width + 1) // 2  # two windows at once: each vector of weights is read for eight products
    upper, lower = _zeros(4 * pairs * channels), _zeros(4 * pairs * channels)
    largest, places = _zeros(2 * pairs * spaced), _zeros(2 * pairs * spaced)
    closed = largest if spaced == outputs else _zeros(results + LANES)
    closed_places = places if spaced == outputs else _zeros(results + LANES)
    while True:
        part = _take(arguments)
        if part >= parts:
            break
        for row in range(part * lines, (part + 1) * lines):
            first, second = x[2 * row * line : (2 * row + 1) * line], x[(2 * row + 1) * line : (2 * row + 2) * line]
            for i in range(line):
                upper[i] = _widen(first[i])
            for i in range(line):
                lower[i] = _widen(second[i])
            for output in range(0, outputs, LANES):
                summand = _load(summands, output)
                for pair in range(pairs):
                    u0 = u1 = u2 = u3 = l0 = l1 = l2 = l3 = summand
                    i0 = 4 * pair * channels
                    i1, i2, i3 = i0 + channels, i0 + 2 * channels, i0 + 3 * channels
                    for channel in range(channels):
                        column = _load(columns, channel * spaced + output)
                        u0 = _add_product(u0, column, _repeated(upper, i0 + channel))
                        u1 = _add_product(u1, column, _repeated(upper, i1 + channel))
                        u2 = _add_product(u2, column, _repeated(upper, i2 + channel))
                        u3 = _add_product(u3, column, _repeated(upper, i3 + channel))
                        l0 = _add_product(l0, column, _repeated(lower, i0 + channel))
                        l1 = _add_product(l1, column, _repeated(lower, i1 + channel))
                        l2 = _add_product(l2, column, _repeated(lower, i2 + channel))
                        l3 = _add_product(l3, column, _repeated(lower, i3 + channel))
                    target = 2 * pair * spaced + output
                    number, place = _largest(u0, u1, l0, l1)
                    _store(largest, target, number)
                    _store(places, target, place)
                    number, place = _largest(u2, u3, l2, l3)
                    _store(largest, target + spaced, number)
                    _store(places, target + spaced, place)
            if spaced != outputs:
                _close(largest, closed, width, outputs)
                _close(places, closed_places, width, outputs)
            out, chosen = y[row * results : (row + 1) * results], which[row * results : (row + 1) * results]
            for i in range(results):
                out[i] = _narrow(closed[i])
            for i in range(results):
                chosen[i] = u8(closed_places[i])


def _conv_unpool(arguments):
    """x, dy, which, weights, half the width -> dx or none, and of each part dweights and dbiases; as `_conv_pool`.

    dweights: (parts, step, channels), with the channels filled up to whole lanes.
    """
    a = carray(arguments, (ARGUMENTS,), np.int64)
    parts, lines, channels, outputs, width = a[PARTS], a[PLACES], a[CHANNELS], a[STEP], a[TENSORS + 4]
    line, results, spaced = 2 * width * channels, width * outputs, filled_up(channels)
    x = carray(_halves(a[TENSORS]), parts * lines * 2 * line, np.uint16)
    dy = carray(_halves(a[TENSORS + 1]), parts * lines * results, np.uint16)
    which = carray(_bytes(a[TENSORS + 2]), parts * lines * results, np.uint8)
    weights = carray(_floats(a[TENSORS + 3]), outputs * channels, np.float32)
    dx = carray(_halves(a[TENSORS + 5]), parts * lines * 2 * line, np.uint16)
    dweights = carray(_floats(a[TENSORS + 6]), parts * outputs * spaced, np.float32)
    dbiases = carray(_floats(a[TENSORS + 7]), parts * outputs, np.float32)
    rows = _zeros(outputs * spaced)
    for output in range(outputs):
        for channel in range(channels):
            rows[output * spaced + channel] = _widen(_narrow(weights[output * channels + channel]))
    # Where a window's first values begin in a pair of lines, for each output. Where their number is odd there is one
    # window more, of zeros and behind the others: two at once have sums of their own, which wait less for each other.
    pairs = (width + 1) // 2
    begins, begin = np.empty(2 * pairs * outputs, np.int32), np.empty(2 * pairs * outputs, np.int32)
    for window in range(2 * pairs):
        begins[window * outputs : (window + 1) * outputs] = (2 if window < width else 4) * window * spaced
    begin[results:] = begins[results:]
    right, below = np.int32(spaced), np.int32(2 * width * spaced)
    above, sums = _zeros(2 * pairs * outputs), _zeros(results)
    length = (4 * width + 1) * spaced
    values, gradients = _zeros(length), _zeros(length)
    spaced_values, spaced_gradients = values, gradients
    if spaced != channels:
        spaced_values, spaced_gradients = _zeros(length), _zeros(length)
    while True:
        part = _take(arguments)
        if part >= parts:
            break
        base = part * outputs * spaced
        dweights[base : base + outputs * spaced] = f32(0.0)
        sums[:] = f32(0.0)
        for row in range(part * lines, (part + 1) * lines):
            ours = x[2 * row * line : (2 * row + 2) * line]
            for i in range(2 * line):
                values[i] = _widen(ours[i])
            if spaced != channels:
                _space(values, spaced_values, 4 * width, channels)
            source, chosen = dy[row * results : (row + 1) * results], which[row * results : (row + 1) * results]
            for i in range(results):
                above[i] = _widen(source[i])
                sums[i] += above[i]
            for i in range(results):
                begin[i] = begins[i] + (below if chosen[i] & u8(2) else 0) + (right if chosen[i] & u8(1) else 0)
            for output in range(outputs):  # windows within: what one writes, the next does not read at once
                for channel in range(0, channels, LANES):
                    weight = _load(rows, output * spaced + channel)
                    total, other = _load(dweights, base + output * spaced + channel), _fill(f32(0.0))
                    for pair in range(pairs):
                        i = 2 * pair * outputs + output
                        place, gradient = begin[u64(i)] + channel, _repeated(above, i)
                        total = _add_product(total, gradient, _load(spaced_values, place))
                        _store(spaced_gradients, place, _add_product(_load(spaced_gradients, place), gradient, weight))
                        i += outputs
                        place, gradient = begin[u64(i)] + channel, _repeated(above, i)
                        other = _add_product(other, gradient, _load(spaced_values, place))
                        _store(spaced_gradients, place, _add_product(_load(spaced_gradients, place), gradient, weight))
                    total = _add_product(total, other, _fill(f32(1.0)))
                    _store(dweights, base + output * spaced + channel, total)
            if a[TENSORS + 5]:  # where there is no dx, its sums grow for nobody
                if spaced != channels:
                    _close(spaced_gradients, gradients, 4 * width, channels)
                    spaced_gradients[:] = f32(0.0)
                out = dx[2 * row * line : (2 * row + 2) * line]
                for i in range(2 * line):
                    out[i] = _narrow(gradients[i])
                    gradients[i] = f32(0.0)  # for the next row
        _fold(sums, outputs, results)
        for output in range(outputs):
            dbiases[part * outputs + output] = sums[output]


@_jit
def _weights(a):
    """What both optimizers read and write: all weights in fp32, their gradients and their copies in bf16."""
    count = a[STEP]
    weights = carray(_floats(a[TENSORS]), count, np.float32)
    gradients = carray(_halves(a[TENSORS + 1]), count, np.uint16)
    return weights, gradients, carray(_halves(a[TENSORS + 2]), count, np.uint16)


def _descend(arguments):
    """Weights, gradients, copies, momentum or none, numbers -> a step of SGD, in place.

    The numbers: the rate, the share of momentum that is kept, weight decay, 1 for Nesterov's momentum or 0.
    Momentum is in fp32; step: how many weights there are.
    """
    a = carray(arguments, (ARGUMENTS,), np.int64)
    parts, places = a[PARTS], a[PLACES]
    every_weight, every_gradient, every_copy = _weights(a)
    every_momentum = carray(_floats(a[TENSORS + 3]), a[STEP], np.float32)
    numbers = carray(_floats(a[TENSORS + 4]), 4, np.float32)
    rate, keep, decay, ahead = numbers[0], numbers[1], numbers[2], numbers[3]
    while True:
        part = _take(arguments)
        if part >= parts:
            break
        ours = slice(part * places, (part + 1) * places)
        weights, gradients, copies = every_weight[ours], every_gradient[ours], every_copy[ours]
        if a[TENSORS + 3]:
            momentum = every_momentum[ours]
            for i in range(len(weights)):
                gradient = _widen(gradients[i]) + decay * weights[i]
                kept = keep * momentum[i] + gradient
                momentum[i] = kept
                weight = weights[i] - rate * (gradient + keep * kept if ahead else kept)
                weights[i] = weight
                copies[i] = _narrow(weight)
        else:
            for i in range(len(weights)):
                weight = weights[i] - rate * (_widen(gradients[i]) + decay * weights[i])
                weights[i] = weight
                copies[i] = _narrow(weight)


def _adapt(arguments):
    """Weights, gradients, copies, gradients' means, those of their squares, numbers -> a step of Adam or AdamW.

    The numbers: the rate over 1 - β₁ᵗ; β₁, 1 - β₁; β₂, 1 - β₂; the root of 1 - β₂ᵗ; ε; the L2 penalty; the share of a
    weight that decay leaves. The rest as for `_descend`.
    """
    a = carray(arguments, (ARGUMENTS,), np.int64)
    parts, places = a[PARTS], a[PLACES]
    every_weight, every_gradient, every_copy = _weights(a)
    every_mean = carray(_floats(a[TENSORS + 3]), a[STEP], np.float32)
    every_square = carray(_floats(a[TENSORS + 4]), a[STEP], np.float32)
    numbers = carray(_floats(a[TENSORS + 5]), 9, np.float32)
    rate, beta1, rest1, beta2, rest2 = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    root, epsilon, penalty, left = numbers[5], numbers[6], numbers[7], numbers[8]
    while True:
        part = _take(arguments)
        if part >= parts:
            break
        ours = slice(part * places, (part + 1) * places)
        weights, gradients, copies = every_weight[ours], every_gradient[ours], every_copy[ours]
        means, squares = every_mean[ours], every_square[ours]
        for i in range(len(weights)):
            gradient = _widen(gradients[i]) + penalty * weights[i]
            mean = beta1 * means[i] + rest1 * gradient
            square = beta2 * squares[i] + rest2 * gradient * gradient
            means[i] = mean
            squares[i] = square
            weight = left * weights[i] - rate * mean / (np.sqrt(square) / root + epsilon)
            weights[i] = weight
            copies[i] = _narrow(weight)


BODIES: dict[str, Any] = {
    "move": _move,
    "scale": _scale,
    "normalise": _make_normalise,
    "differentiate": _make_differentiate,
    "pool": _pool,
    "unpool": _unpool,
    "conv_pool": _conv_pool,
    "conv_unpool": _conv_unpool,
    "descend": _descend,
    "adapt": _adapt,
}

"""Small matrix products that keep their sums in registers, and an atomic counter, as LLVM code for Numba.

Plain loops would keep the sums in memory. All work on flat float32 arrays, with offsets and strides counted in values,
and with vectors of 16 values. AVX-512 has registers of that size, and for other processors LLVM splits them. How many
sums are taken at a time depends on the registers; the order in which the terms of one sum are added does not, so the
results have the same bits on all of them.
"""

from platform import machine

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from rnntips.engine.compiling import FAST, WIDE, njit

__all__ = ["COLUMNS", "FLUSH", "PANEL", "ROWS", "copy", "dots", "flush", "product", "squares", "take", "whole"]

LANES = COLUMNS = PANEL = 16
ROWS = 4
LEFT, RIGHT = (4, 4) if WIDE else (2, 2)  # rows of a and b in one tile of `dots`: the registers hold so many sums
AT_A_TIME = 16
FLUSH = 0x9FC0  # numbers that are too small become 0, as results and as arguments; no exceptions, round to nearest
FLOAT, DOUBLE, INT, INDEX = ir.FloatType(), ir.DoubleType(), ir.IntType(64), ir.IntType(32)


def whole(n: int, size: int) -> int:
    """n rounded up to a multiple of this size."""
    return -(-n // size) * size


def _vector(kind: ir.Type, lanes: int = LANES) -> ir.VectorType:
    return ir.VectorType(kind, lanes)


class _Emit:
    """An LLVM IR builder with operations on float arrays."""

    def __init__(self, builder):
        self.b = builder

    def at(self, pointer, *terms):
        """A pointer plus the sum of some offsets."""
        place = terms[0]
        for term in terms[1:]:
            place = self.b.add(place, term)
        return self.b.gep(pointer, [place], source_etype=FLOAT)

    def vector(self, pointer, lanes: int = LANES):
        kind = _vector(FLOAT, lanes)
        return self.b.load(self.b.bitcast(pointer, kind.as_pointer()), align=4, typ=kind)

    def store(self, value, pointer):
        self.b.store(value, self.b.bitcast(pointer, value.type.as_pointer()), align=4)

    def shuffle(self, x, y, lanes):
        return self.b.shuffle_vector(x, y, ir.Constant(_vector(INDEX, len(lanes)), lanes))

    def broadcast(self, pointer):
        undefined = ir.Constant(_vector(FLOAT), ir.Undefined)
        value = self.b.load(pointer, align=4, typ=FLOAT)
        return self.shuffle(self.b.insert_element(undefined, value, INDEX(0)), undefined, [0] * LANES)

    def fma(self, x, y, z):
        name = f"llvm.fma.v{LANES}f{32 if x.type.element == FLOAT else 64}"
        kind = ir.FunctionType(x.type, [x.type] * 3)
        return self.b.call(cgutils.get_or_insert_function(self.b.module, kind, name), [x, y, z])

    def times(self, n, value):
        return self.b.mul(n, INT(value))

    def loop(self, count, carried, body):
        """`for i in range(count)`, at least once, carrying values; returns them after the last."""
        before, inside = self.b.block, self.b.append_basic_block("inside")
        after = self.b.append_basic_block("after")
        self.b.branch(inside)
        self.b.position_at_end(inside)
        i = self.b.phi(INT)
        phis = [self.b.phi(value.type) for value in carried]
        new = body(i, phis)
        following = self.b.add(i, INT(1))
        end = self.b.block
        i.add_incoming(INT(0), before)
        i.add_incoming(following, end)
        for phi, first, later in zip(phis, carried, new, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(later, end)
        self.b.cbranch(self.b.icmp_signed("<", following, count), inside, after)
        self.b.position_at_end(after)
        return new

    def totals(self, sums):
        """The sums over the lanes of up to 16 vectors, as one vector: lane j has that of vector j.

        Lanes l and l + 8 are added first, then l and l + 4, and so on. A step puts two vectors into one, so that the
        lanes that it frees do work.
        """
        found = [*sums, *[_ZERO] * (LANES - len(sums))]
        for half in (8, 4, 2, 1):
            low = [lane + part for lane in range(0, 2 * LANES, 2 * half) for part in range(half)]
            pairs = zip(found[::2], found[1::2], strict=True)
            found = [self.b.fadd(self.shuffle(*pair, low), self.shuffle(*pair, [lane + half for lane in low]))
                     for pair in pairs]  # fmt: skip
        return found[0]


_ZERO = ir.Constant(_vector(FLOAT), [0.0] * LANES)


def _start(context, builder, signature, args):
    values = [
        context.make_array(kind)(context, builder, arg).data if isinstance(kind, types.Array) else arg
        for kind, arg in zip(signature.args, args, strict=True)
    ]
    return _Emit(builder), values


@intrinsic
def take(typing, counter, which):
    """Atomically add 1 to counter[which]; returns its value before."""

    def code(context, builder, signature, args):
        _, (counters, which) = _start(context, builder, signature, args)
        place = builder.gep(counters, [which], source_etype=INT)
        return builder.atomic_rmw("add", place, INT(1), "monotonic")

    return types.int64(counter, types.int64), code


@intrinsic
def flush(typing, control):
    """Write `control` to this thread's floating-point control register of x86; returns what it held.

    With `FLUSH` numbers below 1e-38 become 0. Gradients of long windows fall below that, and processors take a hundred
    cycles over each such number. On other processors nothing changes, and 0 is returned.
    """

    def code(context, builder, signature, args):
        if machine() not in ("x86_64", "AMD64"):
            return INDEX(0)
        kind = ir.FunctionType(ir.VoidType(), [ir.PointerType(ir.IntType(8))])
        store, load = (cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}mxcsr")
                       for name in ("st", "ld"))  # fmt: skip
        word = cgutils.alloca_once(builder, INDEX)
        place = builder.bitcast(word, kind.args[0])
        builder.call(store, [place])
        before = builder.load(word, typ=INDEX)
        builder.store(args[0], word)
        builder.call(load, [place])
        return before

    return types.int32(types.int32), code


@intrinsic
def _move(typing, out, out0, values, first):
    """out[out0 + j] = values[first + j] for 16 values."""

    def code(context, builder, signature, args):
        e, (out, out0, values, first) = _start(context, builder, signature, args)
        e.store(e.vector(e.at(values, first)), e.at(out, out0))
        return context.get_dummy_value()

    return types.void(out, types.int64, values, types.int64), code


@njit(**FAST)
def copy(out, out0, row, values, first, rows, B):
    """Copy so many rows of B values, a multiple of 16, which begin `row` values apart in `out`."""
    for k in range(rows):
        for b in range(0, B, LANES):
            _move(out, out0 + k * row + b, values, first + k * B + b)


@intrinsic
def squares(typing, values, blocks):
    """Σ values[i]² over so many blocks (at least 1) of 16 values, as float64."""

    def code(context, builder, signature, args):
        e, (values, blocks) = _start(context, builder, signature, args)
        wide = _vector(DOUBLE)

        def body(i, sums):
            value = builder.fpext(e.vector(e.at(values, e.times(i, LANES))), wide)
            return [e.fma(value, value, sums[0])]

        (sums,) = e.loop(blocks, [ir.Constant(wide, [0.0] * LANES)], body)
        total = DOUBLE(0.0)
        for lane in range(LANES):
            total = builder.fadd(total, builder.extract_element(sums, INDEX(lane)))
        return total

    return types.float64(values, types.int64), code


def _product(height: int):
    @intrinsic
    def product(typing, a, a0, b, b0, b_k, out, out0, out_row, count):
        """out[i, j] = Σk a[k, i] · b[k, j] for `height` rows and 16 contiguous columns, k < count (at least 1).

        `a` lies in panels: 16 values for each k.
        """

        def code(context, builder, signature, args):
            e, (a, a0, b, b0, b_k, out, out0, out_row, count) = _start(context, builder, signature, args)

            def body(k, sums):
                right, left = e.vector(e.at(b, b0, builder.mul(k, b_k))), e.at(a, a0, e.times(k, PANEL))
                return [e.fma(e.broadcast(e.at(left, INT(i))), right, total) for i, total in enumerate(sums)]

            for i, total in enumerate(e.loop(count, [_ZERO] * height, body)):
                e.store(total, e.at(out, out0, e.times(out_row, i)))
            return context.get_dummy_value()

        return types.void(a, types.int64, b, *[types.int64] * 2, out, *[types.int64] * 3), code

    return product


_TALL, _HALF, _LOW = (_product(height) for height in (16, 8, 4))


@njit(**FAST)
def product(panels, K, k0, k1, b, B, out, m0, m1):
    """out[m] = Σk panels[m // 16, k, m % 16] · b[k] for m0 ≤ m < m1 (multiples of 4), k0 ≤ k < k1 (more than k0).

    `b` and `out` have rows of B values, a multiple of 16.
    """
    for column in range(0, B, COLUMNS):
        m, b0, count = m0, k0 * B + column, k1 - k0
        while m < m1:
            place, to = (m // PANEL * K + k0) * PANEL + m % PANEL, m * B + column
            if WIDE and m % 16 == 0 and m + 16 <= m1:
                _TALL(panels, place, b, b0, B, out, to, B, count)
                m += 16
            elif WIDE and m % 8 == 0 and m + 8 <= m1:
                _HALF(panels, place, b, b0, B, out, to, B, count)
                m += 8
            else:
                _LOW(panels, place, b, b0, B, out, to, B, count)
                m += 4


@intrinsic
def _dots(typing, a, a0, b, b0, row, count, out, out0, columns):
    """out[i, j] += Σn a[i, n] · b[j, n] for LEFT rows of a and RIGHT of b, n < count (a multiple of 16)."""

    def code(context, builder, signature, args):
        e, (a, a0, b, b0, row, count, out, out0, columns) = _start(context, builder, signature, args)
        lefts, rights = ([e.at(base, first, e.times(row, i)) for i in range(rows)]
                         for base, first, rows in ((a, a0, LEFT), (b, b0, RIGHT)))  # fmt: skip

        def body(n, sums):
            place, new = e.times(n, LANES), list(sums)
            left = [e.vector(e.at(pointer, place)) for pointer in lefts]
            for j, pointer in enumerate(rights):
                right = e.vector(e.at(pointer, place))
                for i in range(LEFT):
                    new[RIGHT * i + j] = e.fma(left[i], right, sums[RIGHT * i + j])
            return new

        totals = e.totals(e.loop(builder.sdiv(count, INT(LANES)), [_ZERO] * (LEFT * RIGHT), body))
        for i in range(LEFT):
            place = e.at(out, out0, e.times(columns, i))
            more = e.shuffle(totals, totals, [RIGHT * i + j for j in range(RIGHT)])
            e.store(builder.fadd(e.vector(place, RIGHT), more), place)
        return context.get_dummy_value()

    return types.void(a, types.int64, b, *[types.int64] * 3, out, *[types.int64] * 2), code


@njit(**FAST)
def dots(a, b, row, count, out, columns, k0, k1, m0, m1):
    """out[k, m] += Σn a[k, n] · b[m, n] for k0 ≤ k < k1 and m0 ≤ m < m1 (multiples of 4), n < count (of 16).

    Rows of a and b begin `row` values apart; those of `out` have so many columns.
    """
    for first in range(m0, m1, AT_A_TIME):  # these rows of b stay in the first cache for all of a
        for k in range(k0, k1, LEFT):
            for m in range(first, min(first + AT_A_TIME, m1), RIGHT):
                _dots(a, k * row, b, m * row, row, count, out, k * columns + m, columns)

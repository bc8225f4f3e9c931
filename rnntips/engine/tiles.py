"""Two small matrix products that keep their sums in registers, and an atomic counter, as LLVM code for Numba.

Plain loops would keep the sums in memory. Both products work on flat float32 arrays, with offsets and strides counted
in values, and with vectors of 8 values (AVX2; for other processors LLVM splits them).
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["COLUMNS", "LEFT", "RIGHT", "ROWS", "dots", "product", "take"]

LANES = 8
ROWS, COLUMNS = 4, 16  # of `product`: 8 accumulators hide the latency of two multiply-adds a cycle
LEFT, RIGHT = 3, 4  # of `dots`: 12 accumulators, 3 vectors of a and 1 of b fill 16 registers
FLOAT, INT = ir.FloatType(), ir.IntType(64)
VECTOR = ir.VectorType(FLOAT, LANES)


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

    def vector(self, pointer):
        return self.b.load(self.b.bitcast(pointer, VECTOR.as_pointer()), align=4, typ=VECTOR)

    def store(self, value, pointer):
        self.b.store(value, self.b.bitcast(pointer, value.type.as_pointer()), align=4)

    def broadcast(self, pointer):
        undefined = ir.Constant(VECTOR, ir.Undefined)
        value = self.b.load(pointer, align=4, typ=FLOAT)
        one = self.b.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        return self.b.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))

    def fma(self, x, y, z):
        kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
        return self.b.call(cgutils.get_or_insert_function(self.b.module, kind, "llvm.fma.v8f32"), [x, y, z])

    def times(self, n, value):
        return self.b.mul(n, ir.Constant(INT, value))

    def loop(self, count, carried, body):
        """`for i in range(count)`, at least once, carrying values; returns them after the last."""
        before, inside = self.b.block, self.b.append_basic_block("inside")
        after = self.b.append_basic_block("after")
        self.b.branch(inside)
        self.b.position_at_end(inside)
        i = self.b.phi(INT)
        phis = [self.b.phi(value.type) for value in carried]
        new = body(i, phis)
        following = self.b.add(i, ir.Constant(INT, 1))
        end = self.b.block
        i.add_incoming(ir.Constant(INT, 0), before)
        i.add_incoming(following, end)
        for phi, first, later in zip(phis, carried, new, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(later, end)
        self.b.cbranch(self.b.icmp_signed("<", following, count), inside, after)
        self.b.position_at_end(after)
        return new


def _start(context, builder, signature, args):
    values = [
        context.make_array(kind)(context, builder, arg).data if isinstance(kind, types.Array) else arg
        for kind, arg in zip(signature.args, args, strict=True)
    ]
    return _Emit(builder), values


_ZERO = ir.Constant(VECTOR, [0.0] * LANES)


@intrinsic
def take(typing, counter, which):
    """Atomically add 1 to counter[which]; returns its value before."""

    def code(context, builder, signature, args):
        _, (counters, which) = _start(context, builder, signature, args)
        place = builder.gep(counters, [which], source_etype=INT)
        return builder.atomic_rmw("add", place, ir.Constant(INT, 1), "monotonic")

    return types.int64(counter, types.int64), code


@intrinsic
def product(typing, a, a0, a_row, a_k, b, b0, b_k, out, out0, out_row, count):
    """out[i, j] = Σk a[i, k] · b[k, j] for 4 rows and 16 contiguous columns, k < count (at least 1)."""

    def code(context, builder, signature, args):
        e, (a, a0, a_row, a_k, b, b0, b_k, out, out0, out_row, count) = _start(context, builder, signature, args)
        rows = [builder.add(a0, e.times(a_row, i)) for i in range(ROWS)]

        def body(k, sums):
            right = e.at(b, b0, builder.mul(k, b_k))
            rights = [e.vector(e.at(right, ir.Constant(INT, j))) for j in range(0, COLUMNS, LANES)]
            new = []
            for row in rows:
                left = e.broadcast(e.at(a, row, builder.mul(k, a_k)))
                new += [e.fma(left, v, sums[len(new) + j]) for j, v in enumerate(rights)]
            return new

        sums = iter(e.loop(count, [_ZERO] * (ROWS * COLUMNS // LANES), body))
        for i in range(ROWS):
            for j in range(0, COLUMNS, LANES):
                e.store(next(sums), e.at(out, out0, e.times(out_row, i), ir.Constant(INT, j)))
        return context.get_dummy_value()

    return types.void(a, *[types.int64] * 3, b, *[types.int64] * 2, out, *[types.int64] * 3), code


@intrinsic
def dots(typing, a, a0, a_row, a_t, b, b0, b_row, b_t, steps, width, out):
    """out[4i + j] = Σt Σn a[t, i, n] · b[t, j, n] for 3 rows of a, 4 of b, t < steps, n < width (a multiple of 8)."""

    def code(context, builder, signature, args):
        e, (a, a0, a_row, a_t, b, b0, b_row, b_t, steps, width, out) = _start(context, builder, signature, args)
        vectors = builder.sdiv(width, ir.Constant(INT, LANES))

        def step(t, sums):
            lefts = [e.at(a, a0, e.times(a_row, i), builder.mul(t, a_t)) for i in range(LEFT)]
            rights = [e.at(b, b0, e.times(b_row, j), builder.mul(t, b_t)) for j in range(RIGHT)]

            def body(n, sums):
                place = e.times(n, LANES)
                left = [e.vector(e.at(pointer, place)) for pointer in lefts]
                new = dict.fromkeys(range(LEFT * RIGHT))
                for j, pointer in enumerate(rights):
                    right = e.vector(e.at(pointer, place))
                    for i in range(LEFT):
                        new[RIGHT * i + j] = e.fma(left[i], right, sums[RIGHT * i + j])
                return list(new.values())

            return e.loop(vectors, sums, body)

        for i, sums in enumerate(e.loop(steps, [_ZERO] * (LEFT * RIGHT), step)):
            total = sums
            for half in (4, 2, 1):  # in a fixed order: the result must not depend on the machine
                lanes = [(lane + half) % LANES for lane in range(LANES)]
                mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), lanes)
                total = builder.fadd(total, builder.shuffle_vector(total, ir.Constant(VECTOR, ir.Undefined), mask))
            value = builder.extract_element(total, ir.Constant(ir.IntType(32), 0))
            e.store(value, e.at(out, ir.Constant(INT, i)))
        return context.get_dummy_value()

    return types.void(a, *[types.int64] * 3, b, *[types.int64] * 5, out), code

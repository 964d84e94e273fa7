"""Eight doubles at once: numba compiles loops over many elements to vector instructions, but not a few fixed ones."""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

#: doubles in one 512-bit register; elsewhere the compiler splits them
LANES = 8


@intrinsic
def add_lanes(typingctx, total, i, part, j, weight):  # type: ignore[no-untyped-def]
    """Do total[i, :] += weight * part[j, :] for C-contiguous arrays (·, 8) of doubles, i and j inside them (unchecked)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lanes = ir.VectorType(ir.DoubleType(), LANES)

        def row(argument: int) -> Any:
            data = context.make_array(signature.args[argument])(context, builder, args[argument]).data
            first = builder.mul(args[argument + 1], ir.Constant(ir.IntType(64), LANES))
            return builder.bitcast(builder.gep(data, [first]), lanes.as_pointer())

        weights = ir.Constant(lanes, ir.Undefined)
        for lane in range(LANES):
            weights = builder.insert_element(weights, args[4], ir.Constant(ir.IntType(32), lane))
        to = row(0)
        added = builder.fmul(weights, builder.load(row(2), align=8), flags=("contract",))
        builder.store(builder.fadd(builder.load(to, align=8), added, flags=("contract",)), to, align=8)
        return context.get_dummy_value()

    return types.void(total, types.int64, part, types.int64, types.float64), codegen

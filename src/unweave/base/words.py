"""What kernels read: bytes as words, and arrays that they are not to write to."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

U = np.uint64
"""Places in arrays are unsigned in the kernels, which spares a check for negative ones at every access."""
_Number = TypeVar("_Number", bound=np.generic)


def read_only(array: NDArray[_Number]) -> NDArray[_Number]:
    """The same numbers, which cannot be written to.

    A kernel is compiled for arrays of a file and for those in memory apart, each for seconds, unless both come so.
    """
    view = array.view()
    view.flags.writeable = False
    return view


@intrinsic
def word_at(typingctx, data, place):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """The eight bytes of data, (n,) uint8, from a place on, as one little-endian word; they may lie anywhere."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        array = context.make_array(signature.args[0])(context, builder, args[0])
        pointer = builder.gep(array.data, [args[1]])
        word = context.get_value_type(types.uint64)
        return builder.load(builder.bitcast(pointer, word.as_pointer()), align=1)

    return types.uint64(data, types.uint64), generate


@intrinsic
def short_at(typingctx, data, place):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """The two bytes of data, (n,) uint8, from a place on, as one little-endian number; they may lie anywhere."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        array = context.make_array(signature.args[0])(context, builder, args[0])
        pointer = builder.gep(array.data, [args[1]])
        short = context.get_value_type(types.uint16)
        return builder.load(builder.bitcast(pointer, short.as_pointer()), align=1)

    return types.uint16(data, types.uint64), generate


@intrinsic
def float_of(typingctx, bits):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """The float32 that is written in these 32 bits."""

    def generate(context, builder, _, args):  # type: ignore[no-untyped-def]
        return builder.bitcast(args[0], context.get_value_type(types.float32))

    return types.float32(types.uint32), generate


@intrinsic
def fetch_ahead(typingctx, data, place):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Ask for the cache line of data, an array, at a place that will be read soon; harmless wherever it is."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        array = context.make_array(signature.args[0])(context, builder, args[0])
        pointer = builder.bitcast(builder.gep(array.data, [args[1]]), ir.IntType(8).as_pointer())
        flag = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, flag, flag, flag])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(prefetch, [pointer, flag(0), flag(3), flag(1)])  # to read, to keep, data
        return context.get_dummy_value()

    return types.void(data, types.uint64), generate

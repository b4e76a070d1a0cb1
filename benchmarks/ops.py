"""Time every convolution of the benchmark's nets, forward and both gradients, in ganjax.ops and PyTorch, in turns.

python benchmarks/ops.py [--only=TEXT] [--repeats=10]

The table has milliseconds and the ratio torch / ganjax, in float32 on the CPU. For each operation PyTorch uses the
faster of contiguous and channels_last. pip install torch==2.13.0 first.
"""

import argparse
import functools
import os
from collections.abc import Callable
from typing import NamedTuple

import versus


class Layer(NamedTuple):
    """One layer. side: of its input. up: whether the convolution is transposed."""

    net: str
    batch: int
    side: int
    inputs: int
    outputs: int
    kernel: int
    stride: int = 1
    pad: int = 1
    groups: int = 1
    up: bool = False

    def __str__(self) -> str:
        kind = "transposed" if self.up else "depthwise" if self.groups == self.inputs > 1 else "grouped"
        kind = kind if self.up or self.groups > 1 else "conv"
        stride = f" s{self.stride}" if self.stride > 1 else ""
        shape = f"{self.kernel}x{self.kernel}{stride}, {self.inputs} -> {self.outputs}"
        return f"{kind} {shape}, {self.side} px, B {self.batch}"


STRIDE_2 = {"kernel": 4, "stride": 2}
LAYERS = [
    Layer("table", 16, 32, 256, 256, 3, groups=16),
    Layer("table", 16, 32, 256, 256, 3, groups=256),
    Layer("table", 16, 64, 128, 128, 3),
    *(
        Layer("dcgan64", 64, side, i, o, **STRIDE_2)
        for side, i, o in ((64, 3, 64), (32, 64, 128), (16, 128, 256), (8, 256, 512))
    ),
    *(Layer("dcgan64", 64, side, i, i // 2, **STRIDE_2, up=True) for side, i in ((4, 512), (8, 256), (16, 128))),
    Layer("dcgan64", 64, 32, 64, 3, **STRIDE_2, up=True),
    *(Layer("dcgan32", 64, side, i, o, **STRIDE_2) for side, i, o in ((32, 3, 64), (16, 64, 128), (8, 128, 256))),
    *(
        Layer("dcgan32", 64, side, i, o, **STRIDE_2, up=True)
        for side, i, o in ((4, 256, 128), (8, 128, 64), (16, 64, 3))
    ),
    *(
        Layer("keras64", 64, side, i, o, **STRIDE_2, up=True)
        for side, i, o in ((8, 128, 128), (16, 128, 256), (32, 256, 512))
    ),
    Layer("keras64", 64, 64, 512, 3, 5, pad=2),
    *(Layer("keras64", 64, side, i, o, **STRIDE_2) for side, i, o in ((64, 3, 128), (32, 128, 256))),
    *(Layer("sngan32", 16, side, 256, 256, 3) for side in (8, 16, 32)),
    *(Layer("sngan32", 16, side, 256, 256, 1, pad=0) for side in (4, 8, 16)),
    Layer("sngan32", 16, 32, 256, 3, 3),
    Layer("sngan32", 16, 32, 3, 128, 3),
    *(Layer("sngan32", 16, side, 128, 128, 3) for side in (32, 16, 8)),
    Layer("sngan32", 16, 16, 3, 128, 1, pad=0),
    Layer("sngan32", 16, 8, 128, 128, 1, pad=0),
    Layer("cyclegan", 1, 134, 3, 64, 7, pad=0),
    *(Layer("cyclegan", 1, side, i, 2 * i, 3, 2) for side, i in ((128, 64), (64, 128))),
    Layer("cyclegan", 1, 34, 256, 256, 3, pad=0),
    *(Layer("cyclegan", 1, side, i, i // 2, 3, 2, up=True) for side, i in ((32, 256), (64, 128))),
    Layer("cyclegan", 1, 134, 64, 3, 7, pad=0),
    *(Layer("cyclegan", 1, side, i, o, **STRIDE_2) for side, i, o in ((128, 3, 64), (64, 64, 128), (32, 128, 256))),
    Layer("cyclegan", 1, 16, 256, 512, 4),
    Layer("cyclegan", 1, 15, 512, 1, 4),
]
PARTS = ("forward", "input gradient", "filter gradient")


def make_ganjax(layer: tuple, part: int) -> tuple[Callable, str]:
    import jax
    import jax.numpy as jnp

    from ganjax.ops.conv import conv, conv_transpose

    layer = Layer(*layer)
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (layer.batch, layer.side, layer.side, layer.inputs))
    k = jax.random.normal(keys[1], (layer.kernel, layer.kernel, layer.inputs // layer.groups, layer.outputs))
    strides, pads = (layer.stride,) * 2, ((layer.pad,) * 2,) * 2
    if layer.up:  # PyTorch's padding, with an output padding if the kernel is odd
        before = layer.kernel - 1 - layer.pad
        pads = ((before, before + layer.kernel % 2),) * 2

    def op(x, k):
        if layer.up:
            return conv_transpose(x, k, strides, pads)
        return conv(x, k, strides, pads, (1, 1), layer.groups)

    g = jnp.ones(jax.eval_shape(op, x, k).shape)
    runs = (
        lambda x, k, g: op(x, k),
        lambda x, k, g: jax.vjp(lambda x: op(x, k), x)[1](g)[0],
        lambda x, k, g: jax.vjp(lambda k: op(x, k), k)[1](g)[0],
    )
    run = jax.jit(runs[part])
    return lambda: jax.block_until_ready(run(x, k, g)), ""


def make_torch(layer: tuple, part: int) -> tuple[Callable, str]:
    import torch
    import torch_side

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    layer = Layer(*layer)
    output_padding = (layer.kernel % 2,) * 2 if layer.up else (0, 0)
    best, mask = None, (part == 1, part == 2, False)
    for layout in (torch.contiguous_format, torch.channels_last):
        x = torch.randn(layer.batch, layer.inputs, layer.side, layer.side).contiguous(memory_format=layout)
        shape = (layer.inputs, layer.outputs) if layer.up else (layer.outputs, layer.inputs // layer.groups)
        k = torch.randn(*shape, layer.kernel, layer.kernel).contiguous(memory_format=layout)
        rest = ((layer.stride,) * 2, (layer.pad,) * 2, (1, 1), layer.up, output_padding, layer.groups)
        forward = functools.partial(torch.convolution, x, k, None, *rest)
        g = torch.ones_like(forward())
        backward = functools.partial(torch.ops.aten.convolution_backward, g, x, k, None, *rest, mask)
        step = backward if part else forward
        seconds = torch_side.time_steps(step)
        if best is None or seconds < best[0]:
            best = (seconds, step)
    return best[1], ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only layers whose line contains this text, such as dcgan64 or 3x3")
    parser.add_argument("--repeats", type=int, default=10)
    args = parser.parse_args()
    ours, theirs = versus.Side(make_ganjax), versus.Side(make_torch)
    print("| net | layer |", " | ".join(f"{part}: ms, ratio" for part in PARTS), "|")
    print("|---|---|---|---|---|", flush=True)
    for layer in LAYERS:
        if args.only not in f"{layer.net} {layer}":
            continue
        cells = []
        for part in range(3):
            job = (tuple(layer), part)
            a, b, ratio = versus.compare(ours, theirs, job, job, args.repeats, 0.05)
            cells.append(f"{1e3 * a.seconds:.2f} / {1e3 * b.seconds:.2f} **{ratio:.2f}**")
        print(f"| {layer.net} | {layer} | " + " | ".join(cells) + " |", flush=True)
    ours.close()
    theirs.close()


if __name__ == "__main__":
    main()

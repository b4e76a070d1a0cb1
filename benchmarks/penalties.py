"""Time the gradient of D's loss with R1 or WGAN-GP by both exact routes and in PyTorch, in turns.

python benchmarks/penalties.py [--repeats=10]

One backward pass to the parameters of a discriminator, float32: of its loss alone, and with a penalty whose gradient is
computed by reverse over reverse mode (`ganjax.losses.penalties`, and PyTorch) or from a directional derivative. The
table has milliseconds and the ratios of the others' times to the package's. pip install torch==2.13.0 first.
"""

import argparse
from collections.abc import Callable
from typing import NamedTuple

import versus


class Case(NamedTuple):
    net: str
    norm: str
    batch: int
    penalty: str  # "", r1 or wgan_gp


CASES = [
    Case(net, norm, batch, penalty)
    for net, norm, batch in (("dcgan64", "none", 64), ("dcgan64", "instance", 64), ("sngan32", "", 16))
    for penalty in ("", "r1", "wgan_gp")
]


def make_ganjax(case: tuple, route: str) -> tuple[Callable, str]:
    import jax
    import jax.numpy as jnp

    from ganjax.losses import penalties
    from ganjax.losses.logits import non_saturating
    from ganjax.nets import dcgan, resnet

    case = Case(*case)
    net = dcgan.Discriminator(norm=case.norm) if case.net == "dcgan64" else resnet.Discriminator()
    side = int(case.net[-2:])
    real, fake = jax.random.uniform(jax.random.key(0), (2, case.batch, side, side, 3), minval=-1)
    variables = net.init(jax.random.key(1), real, train=False)
    key = jax.random.key(2)

    def directional(d_fn, real, fake, key):
        """Return a scalar whose gradient, but not value, is the penalty's."""
        r1 = case.penalty == "r1"
        x = real if r1 else penalties.between(real, fake, key)

        def total(x):
            return jnp.sum(d_fn(x))

        g = jax.grad(total)(x)
        norm = jnp.sqrt(jnp.sum(g**2, (1, 2, 3), keepdims=True))
        v = g if r1 else 2 * (norm - 1) * g / norm
        return jax.jvp(total, (x,), (jax.lax.stop_gradient(v / len(x)),))[1]

    penalty = directional if route == "directional" else getattr(penalties, case.penalty or "r1")

    @jax.jit
    def gradient(params, real, fake):
        def objective(params):
            def d_fn(x):
                return net.apply({**variables, "params": params}, x, train=False).logits[0]

            loss = non_saturating().d(d_fn(real), d_fn(fake))
            return loss + 10 * penalty(d_fn, real, fake, key) if case.penalty else loss

        return jax.grad(objective)(params)

    return lambda: jax.block_until_ready(gradient(variables["params"], real, fake)), ""


def make_torch(case: tuple) -> tuple[Callable, str]:
    import time

    import torch
    import torch_side
    from torch import nn

    case = Case(*case)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    side = int(case.net[-2:])
    real, fake = (torch.rand(case.batch, 3, side, side, device=device) * 2 - 1 for _ in range(2))

    def build(layout):
        d = torch_side.PEERS[case.net][0]()[1]
        if case.net == "dcgan64":
            for name, module in list(d.named_children()):
                if isinstance(module, nn.BatchNorm2d):
                    swap = nn.InstanceNorm2d(module.num_features) if case.norm == "instance" else nn.Identity()
                    setattr(d, name, swap)
        d = d.to(device, memory_format=layout).eval()
        xs = [x.to(memory_format=layout) for x in (real, fake)]

        def step():
            d.zero_grad()
            loss = torch_side.bce(d, *xs)
            if case.penalty:
                share = torch.rand(case.batch, 1, 1, 1, device=device)
                x = xs[0] if case.penalty == "r1" else xs[1] + share * (xs[0] - xs[1])
                x = x.detach().requires_grad_()
                (gradient,) = torch.autograd.grad(d(x).sum(), x, create_graph=True)
                norm = gradient.square().sum((1, 2, 3)).sqrt()
                loss = loss + 10 * (0.5 * norm**2 if case.penalty == "r1" else (norm - 1) ** 2).mean()
            loss.backward()
            return loss.item()

        return step

    best = []
    for layout in (torch.contiguous_format, torch.channels_last):
        step = build(layout)
        step()
        start = time.perf_counter()
        step()
        best.append((time.perf_counter() - start, step))
    return min(best, key=lambda pair: pair[0])[1], ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    args = parser.parse_args()
    ratios = "directional / package | torch / package"
    print(f"| discriminator | batch | penalty | package, ms | directional, ms | torch, ms | {ratios} |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for case in CASES:
        ours, other, theirs = versus.Side(make_ganjax), versus.Side(make_ganjax), versus.Side(make_torch)
        a, b, ratio = versus.compare(ours, theirs, (case, "package"), (case,), args.repeats)
        name = f"{case.net}{', ' + case.norm if case.norm else ''} | {case.batch} | {case.penalty or 'no'}"
        row = f"| {name} | {1e3 * a.seconds:.0f} |"
        if case.penalty:
            _, c, gain = versus.compare(ours, other, (case, "package"), (case, "directional"), args.repeats)
            print(f"{row} {1e3 * c.seconds:.0f} | {1e3 * b.seconds:.0f} | {gain:.2f} | **{ratio:.2f}** |", flush=True)
        else:
            print(f"{row} | {1e3 * b.seconds:.0f} | | **{ratio:.2f}** |", flush=True)
        for side in (ours, other, theirs):
            side.close()


if __name__ == "__main__":
    main()

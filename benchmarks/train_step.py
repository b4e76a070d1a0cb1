"""One training step of ganjax and of PyTorch, by turns: images/s, peak memory, first call, and the ratio.

python benchmarks/train_step.py --net=dcgan64 --batch=64 --against=torch

Nets: the three DCGAN configs, SNGAN-ResNet-32, and CycleGAN's generator with its PatchGAN (128 px, six blocks). A step
is one update of D and one of G on a batch that lies on the device already; ganjax's step of a DCGAN is the whole of the
package's, with augmentation, metrics and the moving average, which PyTorch's lacks. PyTorch runs in the fastest of its
forms: contiguous or channels_last, eager or, unless --no-compile, torch.compile. pip install torch==2.13.0 first.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for the configs

import versus

BATCH = {"dcgan32": 64, "dcgan64": 64, "dcgan_keras64": 64, "sngan32": 16, "cyclegan": 1}


def make_dcgan(net: str, batch: int, precision: str) -> tuple[Callable, str]:
    """Return the package's own compiled update of `configs/<net>.py`."""
    import jax
    import numpy as np

    from ganjax import config as configs
    from ganjax import parallel, recipe, update

    config = configs.load_file(f"configs/{net}.py", [])
    config.batch_size, config.precision = batch, precision
    gan, mesh = recipe.build(config), parallel.make_mesh(1, batch)
    program = update.compile_update(config, gan, mesh)
    side = configs.size(config)
    image = np.random.default_rng(0).integers(0, 256, (batch, *side, 3), np.uint8)
    with jax.set_mesh(mesh):
        state = jax.jit(update.initialise(config, gan), out_shardings=parallel.replicated(mesh))()
        data = parallel.put({"image": image, "label": np.full(batch, -1, np.int32)}, mesh)
    return _loop(lambda state, data: program(state, data, {}), state, data, mesh)


def make_pair(net: str, batch: int, precision: str) -> tuple[Callable, str]:
    """Return a step over the nets of `ganjax.nets` whose recipes are still to come."""
    import jax
    import jax.numpy as jnp
    import optax

    from ganjax import parallel
    from ganjax.config import dtypes
    from ganjax.nets import resnet, translate

    dtype, param_dtype = dtypes(precision)
    kinds = {"dtype": dtype, "param_dtype": param_dtype}
    mean = jnp.mean
    if net == "sngan32":
        g, d, side, b1, b2 = resnet.Generator((32, 32), **kinds), resnet.Discriminator(**kinds), 32, 0.0, 0.9
        given = jax.random.normal(jax.random.key(1), (batch, 128))
        d_loss = lambda real, fake: mean(jax.nn.relu(1 - real)) + mean(jax.nn.relu(1 + fake))  # noqa: E731
        g_loss = lambda logits, fake, given: -mean(logits)  # noqa: E731
    else:
        g, d, side, b1, b2 = translate.Generator(blocks=6, **kinds), translate.Discriminator(**kinds), 128, 0.5, 0.999
        given = jax.random.uniform(jax.random.key(1), (batch, side, side, 3), minval=-1)
        d_loss = lambda real, fake: 0.5 * (mean((real - 1) ** 2) + mean(fake**2))  # noqa: E731
        g_loss = lambda logits, fake, given: mean((logits - 1) ** 2) + 10 * mean(jnp.abs(fake - given))  # noqa: E731
    real = jax.random.uniform(jax.random.key(2), (batch, side, side, 3), minval=-1)
    adam = optax.adam(2e-4, b1, b2)

    def init(net, x):
        params, mutable = (lambda v: (v.pop("params"), v))(dict(net.init(jax.random.key(0), x, train=False)))
        return params, mutable, adam.init(params)

    def apply(net, params, mutable, x):
        return net.apply({"params": params, **mutable}, x, train=True, mutable=list(mutable))

    def update(state, data):
        (g_params, g_mutable, g_adam), (d_params, d_mutable, d_adam), key = state
        given, real = data
        key, z_key = jax.random.split(key)
        given = jax.random.normal(z_key, given.shape) if net == "sngan32" else given
        fake, pull_back, g_mutable = jax.vjp(lambda p: apply(g, p, g_mutable, given), g_params, has_aux=True)

        def d_objective(params):
            (real_logits, _), mutable = apply(d, params, d_mutable, real)
            (fake_logits, _), mutable = apply(d, params, mutable, fake)
            return d_loss(real_logits, fake_logits), mutable

        (_, d_mutable), grads = jax.value_and_grad(d_objective, has_aux=True)(d_params)
        changes, d_adam = adam.update(grads, d_adam)
        d_params = optax.apply_updates(d_params, changes)

        def g_objective(fake):
            (logits, _), mutable = apply(d, d_params, d_mutable, fake)
            return g_loss(logits, fake, given), mutable

        (loss, d_mutable), fake_grad = jax.value_and_grad(g_objective, has_aux=True)(fake)
        changes, g_adam = adam.update(pull_back(fake_grad)[0], g_adam)
        g_params = optax.apply_updates(g_params, changes)
        return ((g_params, g_mutable, g_adam), (d_params, d_mutable, d_adam), key), loss

    state = jax.jit(lambda: (init(g, given), init(d, real), jax.random.key(3)))()
    return _loop(jax.jit(update, donate_argnums=0), state, (given, real), parallel.make_mesh(1, batch))


def _loop(update: Callable, state, data, mesh) -> tuple[Callable, str]:
    import jax

    from ganjax.process import give_back

    def step():
        nonlocal state
        with jax.set_mesh(mesh):
            state, metrics = update(state, data)
        return jax.block_until_ready(metrics)

    step()
    give_back()  # as ganjax.train does after its first step
    return step, f"jax {jax.__version__}, {jax.devices()[0].device_kind}"


def make_torch(net: str, batch: int, precision: str, form: tuple[bool, bool]) -> tuple[Callable, str]:
    import torch_side

    return torch_side.make(net, batch, precision, form)


def choose_torch(net: str, batch: int, precision: str, compiled: bool) -> tuple[Callable, tuple[bool, bool]]:
    import torch_side

    form = torch_side.choose(net, batch, precision, compiled)
    return lambda: None, form


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="dcgan64", choices=[*BATCH, "all"])
    parser.add_argument("--batch", type=int, help="by default 64 for the DCGANs, 16 for SNGAN-32, 1 for CycleGAN")
    parser.add_argument("--against", default="torch", choices=["torch"])
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    args = parser.parse_args()
    print("| net | batch | ganjax, img/s | torch, img/s | ratio | memory, MiB | first call, s | torch's form |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for net in BATCH if args.net == "all" else [args.net]:
        batch = args.batch or BATCH[net]
        chooser = versus.Side(choose_torch)
        form = chooser.ask("prepare", net, batch, args.precision, not args.no_compile)[1]
        chooser.close()  # a process of its own, so that it leaves no memory behind
        ours = versus.Side(make_dcgan if net.startswith("dcgan") else make_pair)
        theirs = versus.Side(make_torch)
        common = (net, batch, args.precision)
        a, b, ratio = versus.compare(ours, theirs, common, (*common, form), args.repeats)
        ours.close(), theirs.close()
        print(
            f"| {net} | {batch} | {batch / a.seconds:.1f} | {batch / b.seconds:.1f} | **{ratio:.2f}** "
            f"| {a.peak_mib:.0f} / {b.peak_mib:.0f} = {a.peak_mib / b.peak_mib:.2f} "
            f"| {a.first_seconds:.1f} / {b.first_seconds:.1f} | {b.note} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""Time one training step of ganjax and of PyTorch in turns: images/s, peak memory, first call, and the ratio.

python benchmarks/train_step.py --net=dcgan64 --batch=64 --against=torch

Nets: three DCGAN configs; SNGAN-ResNet-32 and WGAN-GP with five updates of D, each on its own batch; Projected GAN at
64 px, against efficientnet-lite-pytorch; R3GAN at 32 px and StyleGAN2 at 64 px, without ADA, with all penalties, of
StyleGAN2 the mean over 16 steps; CycleGAN and CUT at 128 px with six blocks; and one generator of CycleGAN with its
PatchGAN ("translator"). A step is the updates of D and one of G on batches that are already on the device; "img/s"
counts the images of G's update. Except for "translator", ganjax's step is the package's whole step, with augmentation,
metrics and the moving average, which PyTorch's lacks.
PyTorch runs in the fastest of its forms: contiguous or channels_last, eager or, unless --no-compile, torch.compile.
pip install torch==2.13.0 first, for Projected GAN also efficientnet-lite-pytorch (without its dependencies).
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for the configs

import versus

BATCH = {"dcgan32": 64, "dcgan64": 64, "dcgan_keras64": 64, "sngan32": 16, "wgan_gp32": 16}
BATCH |= {"projected64": 16, "r3gan32": 16, "stylegan2_64": 16, "translator": 1, "cyclegan": 1, "cut": 1}
PERIOD = {"stylegan2_64": 16}  # updates in which all lazy penalties are due, and which count as one step
CONFIGS = {
    "sngan32": "sngan",
    "wgan_gp32": "wgan_gp",
    "projected64": "projected",
    "r3gan32": "r3gan",
    "stylegan2_64": "stylegan2",
}  # the other configs have the name of the net


def make_recipe(net: str, batch: int, precision: str) -> tuple[Callable, str]:
    """Return the package's compiled step for the net's config."""
    import jax
    import numpy as np

    from ganjax import recipe, task
    from ganjax.config import derived
    from ganjax.config import file as config_file
    from ganjax.system import devices
    from ganjax.training import update

    config = config_file.load_file(CONFIGS.get(net, net), [])
    config.batch_size, config.precision = batch, precision
    if "ada" in config:
        config.ada.policy = ""  # PyTorch's side has none
    if config.task == "translate":
        config.data.resolution = config.data.load_size = 128
        config.model.generator.blocks = 6
    run_task, gan, mesh = task.of(config), recipe.build(config), devices.make_mesh(1, batch)
    program = update.compile_update(config, run_task, gan, mesh)
    count = batch * gan.parts
    image = np.random.default_rng(0).integers(0, 256, (count, *derived.size(config), 3), np.uint8)
    columns = {"image": image, "label": np.full(count, -1, np.int32)}
    tables = {"a": {"image": image}, "b": {"image": image}} if config.task == "translate" else {"image": columns}
    with jax.set_mesh(mesh):
        state = jax.jit(update.initialise(config, run_task, gan), out_shardings=devices.replicated(mesh))()
        state = state.replace(frozen=devices.replicate(gan.frozen(), mesh))
        data = devices.put(tables, mesh)
    step, note = _loop(lambda state, data: program(state, data, {}), state, data, mesh)
    return _periods(net, step), note


def _periods(net: str, step: Callable) -> Callable:
    """Return a function that takes all steps of a period."""
    return lambda: [step() for _ in range(PERIOD.get(net, 1))]


def make_translator(net: str, batch: int, precision: str) -> tuple[Callable, str]:
    """Return a step of one direction of CycleGAN with an L1 term: less than the recipe's step, equal to PyTorch's."""
    import jax
    import jax.numpy as jnp
    import optax

    from ganjax.config.derived import dtypes
    from ganjax.nets import translate
    from ganjax.system import devices

    dtype, param_dtype = dtypes(precision)
    kinds, side, mean = {"dtype": dtype, "param_dtype": param_dtype}, 128, jnp.mean
    g, d = translate.Generator(blocks=6, **kinds), translate.Discriminator(**kinds)
    source, real = (jax.random.uniform(jax.random.key(i), (batch, side, side, 3), minval=-1) for i in (1, 2))
    adam = optax.adam(2e-4, 0.5, 0.999)

    def init(net, x):
        params = net.init(jax.random.key(0), x, train=False)["params"]
        return params, adam.init(params)

    def translate_images(params, x):
        return g.apply({"params": params}, x, train=True).image

    def d_logits(params, x):
        return d.apply({"params": params}, x, train=True).logits[0]

    def update(state, data):
        (g_params, g_adam), (d_params, d_adam) = state
        source, real = data
        fake, pull_back = jax.vjp(lambda params: translate_images(params, source), g_params)

        def d_objective(params):
            return 0.5 * (mean((d_logits(params, real) - 1) ** 2) + mean(d_logits(params, fake) ** 2))

        changes, d_adam = adam.update(jax.grad(d_objective)(d_params), d_adam)
        d_params = optax.apply_updates(d_params, changes)

        def g_objective(fake):
            return mean((d_logits(d_params, fake) - 1) ** 2) + 10 * mean(jnp.abs(fake - source))

        loss, fake_grad = jax.value_and_grad(g_objective)(fake)
        changes, g_adam = adam.update(pull_back(fake_grad)[0], g_adam)
        return ((optax.apply_updates(g_params, changes), g_adam), (d_params, d_adam)), loss

    state = jax.jit(lambda: (init(g, source), init(d, real)))()
    return _loop(jax.jit(update, donate_argnums=0), state, (source, real), devices.make_mesh(1, batch))


def _loop(update: Callable, state, data, mesh) -> tuple[Callable, str]:
    import jax

    from ganjax.system.memory import trim_heap

    def step():
        nonlocal state
        with jax.set_mesh(mesh):
            state, metrics = update(state, data)
        return jax.block_until_ready(metrics)

    step()
    trim_heap()  # as the training loop does after its first step
    return step, f"jax {jax.__version__}, {jax.devices()[0].device_kind}"


def make_torch(net: str, batch: int, precision: str, form: tuple[bool, bool]) -> tuple[Callable, str]:
    import torch_side

    step, note = torch_side.make(net, batch, precision, form)
    return _periods(net, step), note


def choose_torch(net: str, batch: int, precision: str, compiled: bool) -> tuple[Callable, tuple[bool, bool]]:
    import torch_side

    form = torch_side.choose(net, batch, precision, compiled)
    return lambda: None, form


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="dcgan64", choices=[*BATCH, "all"])
    parser.add_argument(
        "--batch", type=int, help="by default 64 for the DCGANs, 16 for SNGAN and WGAN-GP, 1 for the translators"
    )
    parser.add_argument("--against", default="torch", choices=["torch"])
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--no-compile", action="store_true", help="do not try torch.compile")
    args = parser.parse_args()
    print("| net | batch | ganjax, img/s | torch, img/s | ratio | memory, MiB | first call, s | torch's form |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for net in BATCH if args.net == "all" else [args.net]:
        batch = args.batch or BATCH[net]
        chooser = versus.Side(choose_torch)
        form = chooser.ask("prepare", net, batch, args.precision, not args.no_compile)[1]
        chooser.close()  # the choice runs in its own process, whose memory is then free
        ours = versus.Side(make_translator if net == "translator" else make_recipe)
        theirs = versus.Side(make_torch)
        common, images = (net, batch, args.precision), batch * PERIOD.get(net, 1)
        a, b, ratio = versus.compare(ours, theirs, common, (*common, form), args.repeats)
        ours.close()
        theirs.close()
        print(
            f"| {net} | {batch} | {images / a.seconds:.1f} | {images / b.seconds:.1f} | **{ratio:.2f}** "
            f"| {a.peak_mib:.0f} / {b.peak_mib:.0f} = {a.peak_mib / b.peak_mib:.2f} "
            f"| {a.first_seconds:.1f} / {b.first_seconds:.1f} | {b.note} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""PyTorch's side of `train_step.py`: the same nets, losses and updates, in the fastest of PyTorch's forms."""

import importlib
import os
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

STRIDE_2 = {"kernel_size": 4, "stride": 2, "padding": 1}


def dcgan(widths: tuple[int, ...], z_dim: int = 100) -> tuple[nn.Module, nn.Module]:
    """Return the nets of PyTorch's tutorial; `widths`: of the discriminator's layers."""
    top = widths[-1]
    up = [nn.ConvTranspose2d(z_dim, top, 4, bias=False), nn.BatchNorm2d(top), nn.ReLU()]
    for i, o in zip(widths[:0:-1], widths[-2::-1], strict=True):
        up += [nn.ConvTranspose2d(i, o, bias=False, **STRIDE_2), nn.BatchNorm2d(o), nn.ReLU()]
    up += [nn.ConvTranspose2d(widths[0], 3, bias=False, **STRIDE_2), nn.Tanh()]
    down = [nn.Conv2d(3, widths[0], bias=False, **STRIDE_2), nn.LeakyReLU(0.2)]
    for i, o in zip(widths[:-1], widths[1:], strict=True):
        down += [nn.Conv2d(i, o, bias=False, **STRIDE_2), nn.BatchNorm2d(o), nn.LeakyReLU(0.2)]
    return nn.Sequential(*up), nn.Sequential(*down, nn.Conv2d(top, 1, 4, bias=False), nn.Flatten(0))


def keras64(z_dim: int = 100) -> tuple[nn.Module, nn.Module]:
    """Return the nets of `configs/generate/dcgan_keras64.py`."""
    act = nn.LeakyReLU(0.2)
    up = [nn.Flatten(), nn.Linear(z_dim, 128 * 64), act, nn.Unflatten(1, (128, 8, 8))]
    for i, o in ((128, 128), (128, 256), (256, 512)):
        up += [nn.ConvTranspose2d(i, o, **STRIDE_2), act]
    up += [nn.Conv2d(512, 3, 5, padding=2), nn.Tanh()]
    down = []
    for i, o in ((3, 128), (128, 256)):
        down += [nn.Conv2d(i, o, **STRIDE_2), act, nn.Dropout(0.25)]
    return nn.Sequential(*up), nn.Sequential(*down, nn.Flatten(), nn.Linear(256 * 256, 1), nn.Flatten(0))


class SNGANUp(nn.Module):
    def __init__(self, width: int, mode: str = "bilinear"):
        super().__init__()
        self.up = {"scale_factor": 2, "mode": mode} | ({"align_corners": False} if mode == "bilinear" else {})
        self.norm_1, self.norm_2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.conv_1, self.conv_2 = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.shortcut = nn.Conv2d(width, width, 1)

    def forward(self, x):
        y = self.conv_1(F.interpolate(F.relu(self.norm_1(x)), **self.up))
        y = self.conv_2(F.relu(self.norm_2(y)))
        return y + F.interpolate(self.shortcut(x), **self.up)


class SNGANDown(nn.Module):
    def __init__(self, i: int, o: int, down: bool, stem: bool = False, spectral: bool = True):
        super().__init__()
        sn = parametrizations.spectral_norm if spectral else nn.Identity()
        self.conv_1, self.conv_2 = sn(nn.Conv2d(i, o, 3, padding=1)), sn(nn.Conv2d(o, o, 3, padding=1))
        self.shortcut = sn(nn.Conv2d(i, o, 1)) if down else None
        self.down, self.stem = down, stem

    def forward(self, x):
        y = self.conv_2(F.relu(self.conv_1(x if self.stem else F.relu(x))))
        if not self.down:
            return x + y
        return F.avg_pool2d(y, 2) + self.shortcut(F.avg_pool2d(x, 2))


class SNGANDiscriminator(nn.Module):
    def __init__(self, width: int = 128, spectral: bool = True):
        super().__init__()
        w, self.spectral = width, spectral
        shapes = ((3, w, True, True), (w, w, True, False), (w, w, False, False), (w, w, False, False))
        self.blocks = nn.Sequential(*(SNGANDown(*shape, spectral) for shape in shapes))
        self.head = nn.Linear(w, 1)
        if spectral:
            self.head = parametrizations.spectral_norm(self.head)

    def forward(self, x):
        x = F.relu(self.blocks(x))
        return self.head(x.sum((2, 3)) if self.spectral else x.mean((2, 3)))[:, 0]


def residual_generator(width: int, z_dim: int, mode: str) -> nn.Module:
    w = width
    up = [nn.Flatten(), nn.Linear(z_dim, 16 * w), nn.Unflatten(1, (w, 4, 4)), *(SNGANUp(w, mode) for _ in range(3))]
    up += [nn.BatchNorm2d(w), nn.ReLU(), nn.Conv2d(w, 3, 3, padding=1), nn.Tanh()]
    return nn.Sequential(*up)


def sngan32(width: int = 256, d_width: int = 128, z_dim: int = 128) -> tuple[nn.Module, nn.Module]:
    return residual_generator(width, z_dim, "bilinear"), SNGANDiscriminator(d_width)


def wgan_gp32(width: int = 128, z_dim: int = 128) -> tuple[nn.Module, nn.Module]:
    return residual_generator(width, z_dim, "nearest"), SNGANDiscriminator(width, spectral=False)


class Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()

        def conv():
            return [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)]

        self.body = nn.Sequential(*conv(), nn.ReLU(), *conv())

    def forward(self, x):
        return x + self.body(x)


def cyclegan(blocks: int = 6, width: int = 64) -> tuple[nn.Module, nn.Module]:
    def norm(w):
        return [nn.InstanceNorm2d(w), nn.ReLU()]

    v = width
    g = [nn.ReflectionPad2d(3), nn.Conv2d(3, v, 7), *norm(v)]
    for w in (v, 2 * v):
        g += [nn.Conv2d(w, 2 * w, 3, 2, 1), *norm(2 * w)]
    g += [Residual(4 * v) for _ in range(blocks)]
    for w in (4 * v, 2 * v):
        g += [nn.ConvTranspose2d(w, w // 2, 3, 2, 1, 1), *norm(w // 2)]
    g += [nn.ReflectionPad2d(3), nn.Conv2d(v, 3, 7), nn.Tanh()]
    d = [nn.Conv2d(3, v, **STRIDE_2), nn.LeakyReLU(0.2)]
    for i, s in ((v, 2), (2 * v, 2), (4 * v, 1)):
        d += [nn.Conv2d(i, 2 * i, 4, s, 1), nn.InstanceNorm2d(2 * i), nn.LeakyReLU(0.2)]
    return nn.Sequential(*g), nn.Sequential(*d, nn.Conv2d(8 * v, 1, 4, padding=1))


def bce(d: Callable, real, fake):
    real_logits = d(real)
    fake_logits = d(fake)
    loss = F.binary_cross_entropy_with_logits
    return loss(real_logits, torch.ones_like(real_logits)) + loss(fake_logits, torch.zeros_like(fake_logits))


def bce_g(d: Callable, fake, image):
    logits = d(fake)
    return F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))


def hinge(d: Callable, real, fake):
    return F.relu(1 - d(real)).mean() + F.relu(1 + d(fake)).mean()


def hinge_g(d: Callable, fake, image):
    return -d(fake).mean()


def wasserstein(d: Callable, real, fake):
    """Return D's Wasserstein loss with the two-sided gradient penalty, lambda 10."""
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    points = (fake + share * (real - fake)).requires_grad_()
    (gradient,) = torch.autograd.grad(d(points).sum(), points, create_graph=True)
    return d(fake).mean() - d(real).mean() + 10 * (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def lsgan(d: Callable, real, fake):
    return 0.5 * ((d(real) - 1).square().mean() + d(fake).square().mean())


def lsgan_g(d: Callable, fake, image):
    return (d(fake) - 1).square().mean() + 10 * (fake - image).abs().mean()


# name: nets, D's loss, G's loss, Adam's betas, z_dim (0: the generator's input is images), side, updates of D
PEERS = {
    "dcgan32": (lambda: dcgan((64, 128, 256)), bce, bce_g, (0.5, 0.999), 100, 32, 1),
    "dcgan64": (lambda: dcgan((64, 128, 256, 512)), bce, bce_g, (0.5, 0.999), 100, 64, 1),
    "dcgan_keras64": (keras64, bce, bce_g, (0.5, 0.999), 100, 64, 1),
    "sngan32": (sngan32, hinge, hinge_g, (0.0, 0.9), 128, 32, 5),
    "wgan_gp32": (wgan_gp32, wasserstein, hinge_g, (0.0, 0.9), 128, 32, 5),
    "translator": (cyclegan, lsgan, lsgan_g, (0.5, 0.999), 0, 128, 1),
}
FILES = {"projected64": "torch_projected", "r3gan32": "torch_r3gan", "stylegan2_64": "torch_stylegan2"}


def make_form(net: str, batch: int, precision: str, channels_last: bool, compiled: bool) -> Callable:
    """Return the step, which updates D as often as its recipe does, each time on its own batch, and then G."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    if net not in PEERS:
        return make_recipe(net, batch, precision, device, layout, compiled)
    nets, d_loss, g_loss, betas, z_dim, side, d_steps = PEERS[net]
    g, d = (module.to(device, memory_format=layout) for module in nets())
    adams = [torch.optim.Adam(module.parameters(), 2e-4, betas, fused=True) for module in (g, d)]
    *reals, image = (
        torch.rand(batch, 3, side, side, device=device).mul(2).sub(1).to(memory_format=layout)
        for _ in range(d_steps + 1)
    )
    g_run, d_run = (torch.compile(module) if compiled else module for module in (g, d))

    def generate(gradient: bool):
        z = torch.randn(batch, z_dim, 1, 1, device=device) if z_dim else image
        with torch.set_grad_enabled(gradient):
            return g_run(z)

    def step():
        for real in reals:
            with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
                fake = generate(gradient=d_steps == 1)  # with one update of D, both updates share G's forward pass
                loss = d_loss(d_run, real, fake.detach())
            adams[1].zero_grad()
            loss.backward()
            adams[1].step()
        if d_steps > 1:
            with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
                fake = generate(gradient=True)
        d.requires_grad_(False)  # G's update needs no gradients of D's parameters
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            loss = g_loss(d_run, fake, image)
        adams[0].zero_grad()
        loss.backward()
        adams[0].step()
        d.requires_grad_(True)
        return loss.item()

    return step


def make_recipe(net: str, batch: int, precision: str, device: str, layout, compiled: bool) -> Callable:
    """Return the step of a recipe in a file of its own; those of translators at 128 px share one."""

    def place(module: nn.Module) -> nn.Module:
        module = module.to(device, memory_format=layout)
        if compiled:
            module.compile()
        return module

    def autocast():
        return torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16")

    if net in FILES:
        return importlib.import_module(FILES[net]).make(place, autocast, batch, device)
    import torch_translators

    a, b = (torch.rand(batch, 3, 128, 128, device=device).mul(2).sub(1).to(memory_format=layout) for _ in "ab")
    return torch_translators.STEPS[net](place, autocast, a, b)


def choose(net: str, batch: int, precision: str, compiled: bool) -> tuple[bool, bool]:
    """Return (channels_last, compiled) of the fastest form, each timed over three steps after two warm-up steps."""
    best = None
    forms = [(channels_last, False) for channels_last in (False, True)]
    if compiled:
        forms += [(channels_last, True) for channels_last in (False, True)]
    for form in forms:
        try:
            step = make_form(net, batch, precision, *form)
            seconds = time_steps(step)
        except Exception as error:  # a form that fails on this machine is skipped
            print(f"torch {net} {form}: {type(error).__name__}", flush=True)
            continue
        if best is None or seconds < best[0]:
            best = (seconds, form)
    return best[1]


def time_steps(step: Callable, warmup: int = 2, count: int = 3) -> float:
    """Return the seconds that `count` steps take after the warm-up."""
    for _ in range(warmup):
        step()
    start = time.perf_counter()
    for _ in range(count):
        step()
    return time.perf_counter() - start


def make(net: str, batch: int, precision: str, form: tuple[bool, bool]) -> tuple[Callable, str]:
    """Return the step in this form, and a description of the form."""
    note = f"torch {torch.__version__}, {'channels_last' if form[0] else 'contiguous'}{', compiled' * form[1]}"
    return make_form(net, batch, precision, *form), note

"""PyTorch's side of the whole steps of CycleGAN and CUT: their papers' terms, six blocks; float32 or bfloat16."""

import contextlib
from collections.abc import Callable
from itertools import chain

import torch
import torch_side
from torch import nn
from torch.nn import functional as F

PLACES, POOL = 256, 50


def adam(*modules: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(chain.from_iterable(m.parameters() for m in modules), 2e-4, (0.5, 0.999), fused=True)


def update(optimizer: torch.optim.Optimizer, loss) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@contextlib.contextmanager
def fixed(*modules: nn.Module):
    """G's update needs no gradient of D's parameters."""
    for module in modules:
        module.requires_grad_(False)
    yield
    for module in modules:
        module.requires_grad_(True)


def shown(pool: list, fake):
    """Return the images that D is shown: new ones, and for one in two an earlier one once the pool is full."""
    out = []
    for image in fake.detach():
        if len(pool) < POOL:
            pool.append(image)
        elif torch.rand(()) < 0.5:
            at = int(torch.randint(POOL, ()))
            pool[at], image = image, pool[at]
        out.append(image)
    return torch.stack(out)


def cyclegan(place: Callable, computing: Callable, a, b) -> Callable:
    """Return the step: both generators by all their terms, then both discriminators."""
    (g_ab, d_b), (g_ba, d_a) = (map(place, torch_side.cyclegan()) for _ in range(2))
    g_adam, d_adam = adam(g_ab, g_ba), adam(d_a, d_b)
    pools = [], []

    def step():
        with fixed(d_a, d_b):
            with computing():
                fake_b, fake_a = g_ab(a), g_ba(b)
                loss = (d_b(fake_b) - 1).square().mean() + (d_a(fake_a) - 1).square().mean()
                loss = loss + 10 * (F.l1_loss(g_ba(fake_b), a) + F.l1_loss(g_ab(fake_a), b))
                loss = loss + 5 * (F.l1_loss(g_ab(b), b) + F.l1_loss(g_ba(a), a))
            update(g_adam, loss)
        with computing():
            d_loss = torch_side.lsgan(d_a, a, shown(pools[0], fake_a))
            d_loss = d_loss + torch_side.lsgan(d_b, b, shown(pools[1], fake_b))
        update(d_adam, d_loss)
        return loss.item()

    return step


class Blur(nn.Module):
    """[1, 2, 1] at stride 2 after reflection, or [1, 3, 3, 1] upwards after repeating the edge."""

    def __init__(self, channels: int, up: bool):
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0] if up else [1.0, 2.0, 1.0])
        fir = taps[:, None] * taps[None]
        self.up, self.channels = up, channels
        self.register_buffer("fir", (fir / fir.sum() * (4 if up else 1)).expand(channels, 1, *fir.shape).clone())

    def forward(self, x):
        x = F.pad(x, (1,) * 4, "replicate" if self.up else "reflect")
        if self.up:
            return F.conv_transpose2d(x, self.fir, stride=2, padding=2, groups=self.channels)[:, :, 1:-1, 1:-1]
        return F.conv2d(x, self.fir, stride=2, groups=self.channels)


class Cut(nn.Module):
    """CUT's generator in the parts between which its features are compared."""

    def __init__(self, v: int = 64):
        super().__init__()
        norm, relu = nn.InstanceNorm2d, nn.ReLU
        self.parts = nn.ModuleList(
            [
                nn.ReflectionPad2d(3),
                nn.Sequential(nn.Conv2d(3, v, 7), norm(v), relu(True), nn.Conv2d(v, 2 * v, 3, padding=1)),
                nn.Sequential(norm(2 * v), relu(), Blur(2 * v, False), nn.Conv2d(2 * v, 4 * v, 3, padding=1)),
                nn.Sequential(norm(4 * v), relu(), Blur(4 * v, False), torch_side.Residual(4 * v)),
                nn.Sequential(*(torch_side.Residual(4 * v) for _ in range(4))),
            ]
        )
        rest = [torch_side.Residual(4 * v)]
        for width in (2 * v, v):
            rest += [Blur(2 * width, True), nn.Conv2d(2 * width, width, 3, padding=1), norm(width), relu(True)]
        self.rest = nn.Sequential(*rest, nn.ReflectionPad2d(3), nn.Conv2d(v, 3, 7), nn.Tanh())

    def forward(self, x):
        return self.rest(self.taps(x)[-1])

    def taps(self, x):
        seen = []
        for part in self.parts:
            x = part(x)
            seen.append(x)
        return seen


def cut(place: Callable, computing: Callable, a, b) -> Callable:
    """Return the step: D, then G and the heads by PatchNCE of G(a) and of G(b); one pass of G serves both."""
    g, d = place(Cut()), place(torch_side.cyclegan()[1])
    widths = (3, 128, 256, 256, 256)
    heads = nn.ModuleList(nn.Sequential(nn.Linear(w, 256), nn.ReLU(), nn.Linear(256, 256)) for w in widths)
    heads = place(heads)
    g_adam, d_adam = adam(g, heads), adam(d)

    def vectors(layers, places):
        for layer, head, at in zip(layers, heads, places, strict=True):
            yield F.normalize(head(layer.flatten(2)[:, :, at].transpose(1, 2)), dim=-1)

    def contrast(made, source):
        queries, loss = g.taps(made), 0.0
        places = [torch.randperm(q.shape[2] * q.shape[3])[:PLACES] for q in queries]
        with torch.no_grad():
            wanted = list(vectors(g.taps(source), places))
        for q, k in zip(vectors(queries, places), wanted, strict=True):
            own = torch.arange(q.shape[1], device=q.device).repeat(len(q))
            loss = loss + F.cross_entropy((q @ k.transpose(1, 2)).flatten(0, 1) / 0.07, own)
        return loss / len(wanted)

    def step():
        with computing():
            fake, same = g(torch.cat([a, b])).split(len(a))
            d_loss = torch_side.lsgan(d, b, fake.detach())
        update(d_adam, d_loss)
        with fixed(d):
            with computing():
                loss = (d(fake) - 1).square().mean() + (contrast(fake, a) + contrast(same, b)) / 2
            update(g_adam, loss)
        return loss.item()

    return step


STEPS = {"cyclegan": cyclegan, "cut": cut}

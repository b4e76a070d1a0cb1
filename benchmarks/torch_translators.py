"""PyTorch's side of CycleGAN's and CUT's training steps, with all terms of the papers, six blocks."""

import contextlib
from collections.abc import Callable
from itertools import chain

import torch
import torch_side
from torch import nn
from torch.nn import functional as F

PATCHES, POOL = 256, 50


def adam(*modules: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(chain.from_iterable(m.parameters() for m in modules), 2e-4, (0.5, 0.999), fused=True)


def update(optimizer: torch.optim.Optimizer, loss) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@contextlib.contextmanager
def frozen(*modules: nn.Module):
    """Compute no gradients of these modules' parameters: G's update needs none of D's."""
    for module in modules:
        module.requires_grad_(False)
    yield
    for module in modules:
        module.requires_grad_(True)


def pooled_images(pool: list, fake):
    """Return the fakes for D: once the pool is full, each is replaced with probability 1/2 by an earlier one."""
    out = []
    for image in fake.detach():
        if len(pool) < POOL:
            pool.append(image)
        elif torch.rand(()) < 0.5:
            index = int(torch.randint(POOL, ()))
            pool[index], image = image, pool[index]
        out.append(image)
    return torch.stack(out)


def cyclegan(place: Callable, autocast: Callable, a, b) -> Callable:
    """Return the step: an update of both generators with all their terms, then one of both discriminators."""
    (g_ab, d_b), (g_ba, d_a) = (map(place, torch_side.cyclegan()) for _ in range(2))
    g_adam, d_adam = adam(g_ab, g_ba), adam(d_a, d_b)
    pools = [], []

    def step():
        with frozen(d_a, d_b):
            with autocast():
                fake_b, fake_a = g_ab(a), g_ba(b)
                loss = (d_b(fake_b) - 1).square().mean() + (d_a(fake_a) - 1).square().mean()
                loss = loss + 10 * (F.l1_loss(g_ba(fake_b), a) + F.l1_loss(g_ab(fake_a), b))
                loss = loss + 5 * (F.l1_loss(g_ab(b), b) + F.l1_loss(g_ba(a), a))
            update(g_adam, loss)
        with autocast():
            d_loss = torch_side.lsgan(d_a, a, pooled_images(pools[0], fake_a))
            d_loss = d_loss + torch_side.lsgan(d_b, b, pooled_images(pools[1], fake_b))
        update(d_adam, d_loss)
        return loss.item()

    return step


class Blur(nn.Module):
    """Halve the sides with [1, 2, 1] after reflection padding, or with `up` double them with [1, 3, 3, 1] after edge
    padding.
    """

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
    """CUT's generator, split into parts after which its features are compared."""

    def __init__(self, v: int = 64):
        super().__init__()
        norm, relu = nn.InstanceNorm2d, nn.ReLU
        self.parts = nn.ModuleList(
            [
                nn.ReflectionPad2d(3),
                nn.Sequential(nn.Conv2d(3, v, 7), norm(v), relu(True), nn.Conv2d(v, 2 * v, 3, padding=1)),
                nn.Sequential(norm(2 * v), relu(), Blur(2 * v, up=False), nn.Conv2d(2 * v, 4 * v, 3, padding=1)),
                nn.Sequential(norm(4 * v), relu(), Blur(4 * v, up=False), torch_side.Residual(4 * v)),
                nn.Sequential(*(torch_side.Residual(4 * v) for _ in range(4))),
            ]
        )
        rest = [torch_side.Residual(4 * v)]
        for width in (2 * v, v):
            rest += [Blur(2 * width, up=True), nn.Conv2d(2 * width, width, 3, padding=1), norm(width), relu(True)]
        self.rest = nn.Sequential(*rest, nn.ReflectionPad2d(3), nn.Conv2d(v, 3, 7), nn.Tanh())

    def forward(self, x):
        return self.rest(self.taps(x)[-1])

    def taps(self, x):
        features = []
        for part in self.parts:
            x = part(x)
            features.append(x)
        return features


def cut(place: Callable, autocast: Callable, a, b) -> Callable:
    """Return the step: an update of D, then one of G and the heads with PatchNCE of G(a) and G(b), in one pass of G."""
    g, d = place(Cut()), place(torch_side.cyclegan()[1])
    widths = (3, 128, 256, 256, 256)
    heads = nn.ModuleList(nn.Sequential(nn.Linear(w, 256), nn.ReLU(), nn.Linear(256, 256)) for w in widths)
    heads = place(heads)
    g_adam, d_adam = adam(g, heads), adam(d)

    def vectors(layers, positions):
        for layer, head, indices in zip(layers, heads, positions, strict=True):
            yield F.normalize(head(layer.flatten(2)[:, :, indices].transpose(1, 2)), dim=-1)

    def patch_nce(translation, source):
        queries, loss = g.taps(translation), 0.0
        positions = [torch.randperm(q.shape[2] * q.shape[3])[:PATCHES] for q in queries]
        with torch.no_grad():
            keys = list(vectors(g.taps(source), positions))
        for q, k in zip(vectors(queries, positions), keys, strict=True):
            targets = torch.arange(q.shape[1], device=q.device).repeat(len(q))
            loss = loss + F.cross_entropy((q @ k.transpose(1, 2)).flatten(0, 1) / 0.07, targets)
        return loss / len(keys)

    def step():
        with autocast():
            fake, identity = g(torch.cat([a, b])).split(len(a))
            d_loss = torch_side.lsgan(d, b, fake.detach())
        update(d_adam, d_loss)
        with frozen(d):
            with autocast():
                loss = (d(fake) - 1).square().mean() + (patch_nce(fake, a) + patch_nce(identity, b)) / 2
            update(g_adam, loss)
        return loss.item()

    return step


STEPS = {"cyclegan": cyclegan, "cut": cut}

"""PyTorch's side of `train_step.py --net=r3gan32`: the nets of configs/generate/r3gan.py, plainly written."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

WIDTHS, GROUP, Z, GAMMA = (32, 32, 32, 32), 16, 64, 2.0


class Filter(nn.Module):
    """Resample by the FIR filter [1, 3, 3, 1]: to twice the side, or to half of it."""

    def __init__(self, channels: int, up: bool):
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
        kernel = torch.outer(taps, taps) / taps.sum() ** 2 * (4 if up else 1)
        self.register_buffer("kernel", kernel.expand(channels, 1, 4, 4).contiguous())
        self.run = F.conv_transpose2d if up else F.conv2d

    def forward(self, x):
        return self.run(x, self.kernel, stride=2, padding=1, groups=len(self.kernel))


class Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        wide = 2 * width
        self.body = nn.Sequential(
            nn.Conv2d(width, wide, 1), nn.LeakyReLU(0.2), nn.Conv2d(wide, wide, 3, padding=1, groups=wide // GROUP),
            nn.LeakyReLU(0.2), nn.Conv2d(wide, width, 1, bias=False))  # fmt: skip

    def forward(self, x):
        return x + self.body(x)


def stages(widths: tuple[int, ...], up: bool) -> nn.Sequential:
    layers = [Block(widths[0]), Block(widths[0])]
    for before, after in zip(widths, widths[1:], strict=False):
        change = [nn.Conv2d(before, after, 1, bias=False)] if before != after else []
        layers += [*change, Filter(after, up)] if up else [Filter(before, up), *change]
        layers += [Block(after), Block(after)]
    return nn.Sequential(*layers)


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.basis = nn.Parameter(torch.randn(WIDTHS[0], 4, 4))
        self.project = nn.Linear(Z, WIDTHS[0], bias=False)
        self.stages, self.image = stages(WIDTHS, up=True), nn.Conv2d(WIDTHS[-1], 3, 1, bias=False)

    def forward(self, z):
        return self.image(self.stages(self.basis * self.project(z)[:, :, None, None]))


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.stages = nn.Conv2d(3, WIDTHS[-1], 1, bias=False), stages(WIDTHS[::-1], up=False)
        self.basis, self.head = nn.Parameter(torch.randn(WIDTHS[0], 4, 4) / 4), nn.Linear(WIDTHS[0], 1, bias=False)

    def forward(self, x):
        return self.head((self.stages(self.first(x)) * self.basis).sum((2, 3)))[:, 0]


def make(place: Callable, autocast: Callable, batch: int, device: str) -> Callable:
    """Return the step: an update of D with R1 and R2 and one of G, each with real images of its own, without logs and
    moving average.
    """
    g, d = (place(net) for net in (Generator(), Discriminator()))
    adams = [torch.optim.Adam(net.parameters(), 2e-3, (0.0, 0.9), fused=True) for net in (g, d)]
    of_d, of_g = (torch.rand(batch, 3, 32, 32, device=device).mul(2).sub(1) for _ in range(2))

    def step():
        with autocast():
            fake = g(torch.randn(batch, Z, device=device))
            real, seen = (images.detach().requires_grad_() for images in (of_d, fake))
            logits = d(real), d(seen)
            slopes = torch.autograd.grad([x.sum() for x in logits], (real, seen), create_graph=True)
            penalty = sum(slope.square().sum((1, 2, 3)).mean() for slope in slopes)
            loss = F.softplus(logits[1] - logits[0]).mean() + GAMMA / 2 * penalty
        adams[1].zero_grad()
        loss.backward()
        adams[1].step()
        d.requires_grad_(False)
        with autocast():
            loss = F.softplus(d(of_g) - d(fake)).mean()
        adams[0].zero_grad()
        loss.backward()
        adams[0].step()
        d.requires_grad_(True)
        return loss.item()

    return step

"""PyTorch's side of `train_step.py --net=stylegan2_64`: the nets of configs/generate/stylegan2.py, plainly written.

Each image has a kernel of its own, and all of a batch are one grouped convolution, as in the published code.
"""

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F
from torch_r3gan import Filter

WIDTHS, W, MAPPING, GROUP, MIXING = (128, 128, 128, 64, 32), 128, 2, 4, 0.9  # at 4 to 64 pixels
R1, R1_EVERY, PATH, PATH_EVERY = 2e-4 * 64**2 / 16, 16, 2.0, 4
LAYERS = 2 * len(WIDTHS)


def activation(x):
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


class Dense(nn.Module):
    def __init__(self, inputs: int, outputs: int, rate: float = 1.0, bias: float = 0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias, self.rate = nn.Parameter(torch.full((outputs,), bias / rate)), rate
        self.scale = rate / math.sqrt(inputs)

    def forward(self, x):
        return F.linear(x, self.weight * self.scale, self.bias * self.rate)


class Conv(nn.Module):
    """An equalised convolution; a blurring and a strided one if `down`."""

    def __init__(self, inputs: int, outputs: int, size: int, down: bool = False, bias: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale, self.size, self.down = 1 / math.sqrt(inputs * size**2), size, down
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
        self.register_buffer("taps", (torch.outer(taps, taps) / 64).expand(inputs, 1, 4, 4).contiguous())

    def forward(self, x):
        weight = self.weight * self.scale
        if not self.down:
            return F.conv2d(x, weight, self.bias, padding=self.size // 2)
        if self.size == 1:
            return F.conv2d(F.conv2d(x, self.taps, stride=2, padding=1, groups=x.shape[1]), weight, self.bias)
        x = F.conv2d(x, self.taps, padding=2, groups=x.shape[1])
        return F.conv2d(x, weight, self.bias, stride=2)


class Styled(nn.Module):
    def __init__(self, inputs: int, outputs: int, up: bool):
        super().__init__()
        self.weight, self.style = nn.Parameter(torch.randn(outputs, inputs, 3, 3)), Dense(W, inputs, bias=1.0)
        self.noise, self.bias = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(outputs))
        self.up = up
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
        self.register_buffer("taps", (torch.outer(taps, taps) / 16).expand(outputs, 1, 4, 4).contiguous())

    def forward(self, x, w):
        count, inputs, height, width = x.shape
        kernels = self.weight * self.style(w)[:, None, :, None, None]
        kernels = kernels * (kernels.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
        x = x.reshape(1, count * inputs, height, width)
        if self.up:
            x = F.conv_transpose2d(x, kernels.transpose(1, 2).flatten(0, 1), stride=2, groups=count)
            x = x.reshape(count, -1, *x.shape[2:])
            x = F.conv2d(x, self.taps, padding=1, groups=x.shape[1])
        else:
            x = F.conv2d(x, kernels.flatten(0, 1), padding=1, groups=count)
            x = x.reshape(count, -1, *x.shape[2:])
        noise = torch.randn(count, 1, *x.shape[2:], device=x.device)
        return activation(x + self.noise * noise + self.bias[:, None, None])


class ToImage(nn.Module):
    def __init__(self, inputs: int):
        super().__init__()
        self.style, self.conv = Dense(W, inputs, bias=1.0), Conv(inputs, 3, 1)

    def forward(self, x, w):
        return self.conv(x * self.style(w)[:, :, None, None])


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.mapping = nn.ModuleList(Dense(W, W, 0.01) for _ in range(MAPPING))
        self.base = nn.Parameter(torch.randn(WIDTHS[0], 4, 4))
        self.ups = nn.ModuleList(Styled(i, o, True) for i, o in zip(WIDTHS, WIDTHS[1:], strict=False))
        self.convs = nn.ModuleList(Styled(i, i, False) for i in WIDTHS)
        self.images = nn.ModuleList(ToImage(i) for i in WIDTHS)
        self.enlarge = Filter(3, up=True)

    def map(self, z):
        x = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.mapping:
            x = activation(layer(x))
        return x[:, None].expand(-1, LAYERS, -1)

    def forward(self, z=None, other=None, ws=None):
        if ws is None:  # the layers from a random one on follow another latent
            first = torch.randint(1, LAYERS, (len(z), 1), device=z.device)
            mixed = (torch.arange(LAYERS, device=z.device) >= first) & (torch.rand_like(z[:, :1]) < MIXING)
            ws = torch.where(mixed[..., None], self.map(other), self.map(z))
        x = self.convs[0](self.base.expand(len(ws), -1, -1, -1), ws[:, 0])
        image = self.images[0](x, ws[:, 1])
        for i, up in enumerate(self.ups, 1):
            x = self.convs[i](up(x, ws[:, 2 * i - 1]), ws[:, 2 * i])
            image = self.enlarge(image) + self.images[i](x, ws[:, 2 * i + 1])
        return image


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv_0, self.conv_1 = Conv(inputs, inputs, 3), Conv(inputs, outputs, 3, down=True)
        self.shortcut = Conv(inputs, outputs, 1, down=True, bias=False)

    def forward(self, x):
        return (self.shortcut(x) + activation(self.conv_1(activation(self.conv_0(x))))) / math.sqrt(2)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        widths, last = WIDTHS[::-1], WIDTHS[0]
        self.first = Conv(3, widths[0], 1)
        self.blocks = nn.Sequential(*(Block(i, o) for i, o in zip(widths, widths[1:], strict=False)))
        self.conv, self.dense, self.head = Conv(last + 1, last, 3), Dense(16 * last, last), Dense(last, 1)

    def forward(self, x):
        x = self.blocks(activation(self.first(x)))
        std = (x.reshape(GROUP, -1, *x.shape[1:]).var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
        std = std.repeat(GROUP)[:, None, None, None].expand(-1, 1, *x.shape[2:])
        x = activation(self.conv(torch.cat([x, std], 1)))
        return self.head(activation(self.dense(x.flatten(1))))[:, 0]


def make(place: Callable, autocast: Callable, batch: int, device: str) -> Callable:
    """Return an update of D and one of G, without augmentation, logs and moving averages. At every 16th R1, and at
    every 4th path length regularisation, have updates of their own.
    """
    g, d = (place(net) for net in (Generator(), Discriminator()))
    adams = [torch.optim.Adam(net.parameters(), 2.5e-3, (0.0, 0.99), fused=True) for net in (g, d)]
    real = torch.rand(batch, 3, 64, 64, device=device).mul(2).sub(1)
    count, mean = 0, torch.zeros((), device=device)

    def update(adam, loss):
        adam.zero_grad(set_to_none=False)
        loss.backward()
        adam.step()

    def path_lengths():
        ws = g.map(torch.randn(batch // 2, W, device=device))
        images = g(ws=ws)
        noise = torch.randn_like(images) / 64
        (slope,) = torch.autograd.grad((images * noise).sum(), ws, create_graph=True)
        return slope.square().sum(2).mean(1).sqrt()

    def step():
        nonlocal count, mean
        with autocast():
            fake = g(*torch.randn(2, batch, W, device=device))
            loss = F.softplus(-d(real)).mean() + F.softplus(d(fake.detach())).mean()
        update(adams[1], loss)
        if count % R1_EVERY == 0:
            images = real.detach().requires_grad_()
            with autocast():
                (slope,) = torch.autograd.grad(d(images).sum(), images, create_graph=True)
                loss = R1_EVERY * R1 / 2 * slope.square().sum((1, 2, 3)).mean()
            update(adams[1], loss)
        d.requires_grad_(False)
        with autocast():
            loss = F.softplus(-d(fake)).mean()
        update(adams[0], loss)
        d.requires_grad_(True)
        if count % PATH_EVERY == 0:
            with autocast():
                lengths = path_lengths()
                mean = mean + 0.01 * (lengths.mean().detach() - mean)
                loss = PATH_EVERY * PATH * (lengths - mean).square().mean()
            update(adams[0], loss)
        count += 1
        return loss.item()

    return step

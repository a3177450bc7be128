"""The peer of bench:gpu: a UNet of SDXL's shape with random weights by PyTorch, in half precision, with its scaled dot
product attention. Each step computes the conditional and the unconditional half at once (batch 2), guidance and an
Euler step. One JSON line a way of running it."""
import argparse
import json
import sys
import time

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError as error:
    sys.exit(f"no PyTorch here: {error}")

CONTEXT, LABEL, HEAD = 2048, 2816, 64  # width of the text, of the pooled text and sizes, of an attention head
TOKENS = 77


class Residual(nn.Module):
    def __init__(self, inputs, outputs, time):
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(32, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.time = nn.Sequential(nn.SiLU(), nn.Linear(time, outputs))
        self.second = nn.Sequential(nn.GroupNorm(32, outputs), nn.SiLU(), nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x, time, _text):
        return self.skip(x) + self.second(self.first(x) + self.time(time)[:, :, None, None])


class Attention(nn.Module):
    def __init__(self, width, context):
        super().__init__()
        self.heads = max(1, width // HEAD)
        self.q = nn.Linear(width, width, bias=False)
        self.k = nn.Linear(context, width, bias=False)
        self.v = nn.Linear(context, width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, x, context):
        split = lambda t: t.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        y = F.scaled_dot_product_attention(split(self.q(x)), split(self.k(context)), split(self.v(context)))
        return self.out(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.itself, self.text = Attention(width, width), Attention(width, CONTEXT)
        self.gated, self.out = nn.Linear(width, 8 * width), nn.Linear(4 * width, width)

    def forward(self, x, text):
        normed = self.norms[0](x)
        x = x + self.itself(normed, normed)
        x = x + self.text(self.norms[1](x), text)
        value, gate = self.gated(self.norms[2](x)).chunk(2, dim=-1)
        return x + self.out(value * F.gelu(gate))


class Transformer(nn.Module):
    def __init__(self, width, depth):
        super().__init__()
        self.norm = nn.GroupNorm(32, width)
        self.into, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))

    def forward(self, x, _time, text):
        y = self.into(self.norm(x).flatten(2).transpose(1, 2))
        for block in self.blocks:
            y = block(y, text)
        return x + self.out(y).transpose(1, 2).unflatten(2, x.shape[2:])


class Resize(nn.Module):
    def __init__(self, width, up):
        super().__init__()
        self.up, self.conv = up, nn.Conv2d(width, width, 3, stride=1 if up else 2, padding=1)

    def forward(self, x, _time, _text):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest") if self.up else x)


class UNet(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.channels, time = channels, 4 * channels
        widths, depths = [channels, 2 * channels, 4 * channels], [0, 2, 10]
        embed = lambda size: nn.Sequential(nn.Linear(size, time), nn.SiLU(), nn.Linear(time, time))
        self.time, self.label = embed(channels), embed(LABEL)
        layers = lambda a, b, depth: [Residual(a, b, time)] + ([Transformer(b, depth)] if depth else [])
        self.first = nn.Conv2d(4, channels, 3, padding=1)
        self.down, self.up, skips, width = nn.ModuleList(), nn.ModuleList(), [channels], channels
        for level in range(3):
            for _ in range(2):
                self.down.append(nn.ModuleList(layers(width, widths[level], depths[level])))
                skips.append(width := widths[level])
            if level < 2:
                self.down.append(nn.ModuleList([Resize(width, up=False)]))
                skips.append(width)
        self.middle = nn.ModuleList(layers(width, width, depths[2]) + [Residual(width, width, time)])
        for level in (2, 1, 0):
            for i in range(3):
                up = layers(width + skips.pop(), width := widths[level], depths[level])
                self.up.append(nn.ModuleList(up + ([Resize(width, up=True)] if level and i == 2 else [])))
        self.last = nn.Sequential(nn.GroupNorm(32, width), nn.SiLU(), nn.Conv2d(width, 4, 3, padding=1))

    def forward(self, x, step, text, label):
        half = torch.arange(self.channels // 2, device=x.device, dtype=torch.float32)
        angles = step[:, None].float() * torch.exp(-9.2103 * half / half.numel())[None]  # ln 10,000
        time = self.time(torch.cat([angles.cos(), angles.sin()], -1).to(x.dtype)) + self.label(label)
        x = self.first(x)
        skips = [x]
        for block in self.down:
            for layer in block:
                x = layer(x, time, text)
            skips.append(x)
        for layer in self.middle:
            x = layer(x, time, text)
        for block in self.up:
            x = torch.cat([x, skips.pop()], 1)
            for layer in block:
                x = layer(x, time, text)
        return self.last(x)


@torch.inference_mode()
def sample(unet, size, steps, device, dtype):
    x = torch.randn(1, 4, size // 8, size // 8, device=device, dtype=dtype)
    text = torch.randn(2, TOKENS, CONTEXT, device=device, dtype=dtype)
    label = torch.randn(2, LABEL, device=device, dtype=dtype)
    for i in range(steps):
        step = torch.full((2,), 999.0 * (1 - i / steps), device=device)
        plain, prompted = unet(x.expand(2, -1, -1, -1), step, text, label).chunk(2)
        x = x + (plain + 7 * (prompted - plain)) * (-1.0 / steps)
    return x.float().sum().item()  # waits for the card


def main():
    parser = argparse.ArgumentParser()
    for name, default in (("channels", 320), ("size", 1024), ("steps", 30)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--cpu", action="store_true", help="to try the script")
    options = parser.parse_args()
    if not options.cpu and not torch.cuda.is_available():
        sys.exit("PyTorch finds no CUDA device")
    device, dtype = ("cpu", torch.float32) if options.cpu else ("cuda", torch.float16)
    torch.set_default_dtype(dtype)
    with torch.device(device):
        unet = UNet(options.channels).eval()
    parameters = sum(p.numel() for p in unet.parameters()) / 1e9
    where = "CPU" if options.cpu else torch.cuda.get_device_name()
    for way in ("eager", "compiled") if options.steps > 1 else ("eager",):
        run = unet if way == "eager" else torch.compile(unet)
        sample(run, options.size, 2, device, dtype)  # warm-up
        began = time.perf_counter()
        sample(run, options.size, options.steps, device, dtype)
        seconds = time.perf_counter() - began
        vram = 0 if options.cpu else torch.cuda.max_memory_allocated() >> 20
        about = f"PyTorch {torch.__version__} {way}, UNet only"
        figures = {"seconds": seconds, "steps": options.steps, "stepsPerSecond": options.steps / seconds}
        print(json.dumps({"about": about, **figures, "vramMib": vram, "side": options.size,
                          "note": f"{where}, {parameters:.3f} billion parameters"}), flush=True)


main()

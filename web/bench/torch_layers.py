"""PyTorch on the layers that torch.mjs wrote, run whenever it is told to: as `aecnn-load layers` is.

    torch_layers.py LAYERS WEIGHTS INPUT OUTPUT

LAYERS is JSON: the threads, the device ("cpu" or "cuda"), the type of what is computed ("float32" or "float16"), the input's
shape, the weights' names and shapes, the operations in their order. Values come from the processor's memory and logits go there.
WEIGHTS, INPUT and OUTPUT are 32-bit floats, one tensor behind the other.

Writes the logits, says by a line that they were compiled or why not, and then answers each line of standard
input with the milliseconds that one more run took.
"""

import json
import pathlib
import sys
import time

import numpy as np
import torch
from torch import fx, nn
from torch._inductor import config
from torch.nn import functional


def floats(file, shapes):
    values, at = torch.from_numpy(np.fromfile(file, "<f4")), 0
    for shape in shapes:
        length = int(np.prod(shape))
        yield values[at:at + length].view(shape)
        at += length
    if at != len(values):
        sys.exit(f"{file} has {len(values)} floats instead of {at}")


def layer(kind, weight, bias, stride):
    if kind == "conv":
        filters, channels, kernel, _ = weight.shape
        made = nn.Conv2d(channels, filters, kernel, stride, padding=(kernel - 1) // 2)
    else:
        made = nn.Linear(weight.shape[1], weight.shape[0])
    made.weight, made.bias = nn.Parameter(weight), nn.Parameter(bias)
    return made


def even(x):
    return x[:, :, ::2, ::2]


def network(operations, weights):
    """Straight code from the operations, which frees each value behind its last use, as written by hand."""
    graph, layers = fx.Graph(), {}
    values = [graph.placeholder("x")]

    def call(function, *inputs, **options):
        return graph.call_function(function, inputs, options)

    # Ours and onnxruntime's have to bring the values into their order as well.
    x = graph.call_method("contiguous", (values[0],), {"memory_format": torch.channels_last})
    values[0] = x
    for operation in operations:
        kind, inputs = operation["kind"], [values[index] for index in operation["inputs"]]
        if kind in ("conv", "head"):
            name = operation["name"]
            layers[name] = layer(kind, weights[f"{name}.weight"], weights[f"{name}.bias"], operation.get("stride"))
        if kind == "conv":
            y = graph.call_module(name, tuple(inputs))
            if operation["relu"]:
                y = call(functional.relu, y)
        elif kind == "pool":
            y = call(functional.max_pool2d, *inputs, kernel_size=3, stride=2, padding=1)
        elif kind == "even":
            y = call(even, *inputs)
        elif kind == "add":
            y = call(functional.relu, call(torch.add, *inputs))
        elif kind == "head":
            y = graph.call_module(name, (call(torch.mean, *inputs, dim=(2, 3)),))
        else:
            sys.exit(f"{kind} is no operation")
        values.append(y)
    graph.output(values[-1])
    return fx.GraphModule(layers, graph).eval().to(memory_format=torch.channels_last)


def main(layers, weights, input_file, output_file):
    given = json.loads(pathlib.Path(layers).read_text())
    torch.set_num_threads(given["threads"])
    torch.set_num_interop_threads(1)
    tensors = given["tensors"]
    named = zip((name for name, _ in tensors), floats(weights, [shape for _, shape in tensors]))
    device, dtype = torch.device(given["device"]), getattr(torch, given["dtype"])
    model = network(given["operations"], dict(named)).to(device, dtype)
    [x] = floats(input_file, [given["shape"]])
    # As ours: products of single precision may be rounded to the ten bits of fraction that the matrix units take.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True

    # Weights are constants, and brought into the kernels' order once. On a GPU one launch replays all kernels.
    config.freezing = True
    layers, how = torch.compile(model, mode="reduce-overhead" if device.type == "cuda" else None), "compiled"

    def run(x):
        return layers(x.to(device, dtype)).float().cpu()

    with torch.inference_mode():
        try:
            logits = run(x)
        except Exception as error:
            # There may be no C++ compiler, or not Python's headers.
            layers, how = model, f"{type(error).__name__}: {error}".splitlines()[0]
            logits = run(x)
        logits.numpy().astype("<f4").tofile(output_file)
        print(how, flush=True)
        for _ in sys.stdin:
            started = time.perf_counter()
            run(x)
            print((time.perf_counter() - started) * 1e3, flush=True)


main(*sys.argv[1:])

"""Write the mean of both stages' weights into this folder as an MLX model of 8 bits.

    python export.py --work /tmp/sprout-work

`train.py` says how to make the virtual environment. mlx-lm loads the folder as it is.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy
import torch
from safetensors.numpy import save_file
from train import BOS, CONFIG, EOS

FOLDER = Path(__file__).parent
GROUP_SIZE, BITS = 64, 8
# The weights lie on the line between the two stages, so far from the first: of what was tried this
# wrote the most readable text. The second alone recites, and makes up words where it cannot.
NARROW_SHARE = 0.6
# A story model: the messages are the story so far, and the answer goes on with it.
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages if message['role'] != 'system' %}"
    "{% if message['role'] == 'user' and not loop.first %}{{ '\\n\\n' }}{% endif %}"
    "{{ message['content'] }}"
    "{% endfor %}"
)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", default=".cache/sprout", help="the folder train.py worked in")
    work = Path(parser.parse_args().work)
    broad = torch.load(work / "checkpoint.pt")["model"]
    narrow = torch.load(work / "narrow.pt")["model"]
    tensors = {}
    for name in broad:
        weight = torch.lerp(broad[name].float(), narrow[name].float(), NARROW_SHARE)
        add_tensor(tensors, f"model.{name}", weight.numpy())
    save_file(tensors, FOLDER / "model.safetensors", metadata={"format": "mlx"})
    (FOLDER / "model.safetensors").chmod(0o644)

    quantization = {"group_size": GROUP_SIZE, "bits": BITS}
    config = {"quantization": quantization, "quantization_config": quantization}
    write_json("config.json", {**CONFIG, "torch_dtype": "float16", **config})
    tokens = {"bos_token_id": CONFIG["bos_token_id"], "eos_token_id": CONFIG["eos_token_id"]}
    write_json("generation_config.json", tokens)
    write_json(
        "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": BOS,
            "eos_token": EOS,
            "model_max_length": CONFIG["max_position_embeddings"],
            "clean_up_tokenization_spaces": False,
            "chat_template": CHAT_TEMPLATE,
        },
    )
    shutil.copy(work / "tokenizer.json", FOLDER / "tokenizer.json")


def add_tensor(tensors, name, weight):
    if weight.ndim == 1:
        tensors[name] = weight.astype(numpy.float16)
        return
    packed, scales, biases = quantize(weight)
    tensors[name] = packed
    tensors[name.replace(".weight", ".scales")] = scales
    tensors[name.replace(".weight", ".biases")] = biases


def quantize(weight):
    """Return MLX's affine form: w = scale * q + bias, one scale and bias to each 64 inputs.

    As in MLX, the end of the range with the greater magnitude is met exactly. Unlike MLX, the
    integers are chosen after the scales and biases were rounded to 16 bits, which errs less.
    """
    groups = weight.reshape(weight.shape[0], -1, GROUP_SIZE)
    low, high = groups.min(-1), groups.max(-1)
    low_is_edge = abs(low) > abs(high)
    scale = numpy.maximum((high - low) / (2**BITS - 1), 1e-7)
    scale = numpy.where(low_is_edge, scale, -scale)
    edge = numpy.where(low_is_edge, low, high)
    steps = numpy.rint(edge / scale)
    scale = numpy.where(steps != 0, edge / numpy.where(steps == 0, 1, steps), scale)
    scales = scale.astype(numpy.float16)
    biases = numpy.where(steps == 0, 0, edge).astype(numpy.float16)
    quotient = (groups - biases[..., None].astype(float)) / scales[..., None].astype(float)
    values = numpy.clip(numpy.rint(quotient), 0, 2**BITS - 1).astype(numpy.uint8)
    return values.reshape(weight.shape).view("<u4"), scales, biases


def write_json(name, value):
    (FOLDER / name).write_text(json.dumps(value, indent=2) + "\n")


if __name__ == "__main__":
    main()

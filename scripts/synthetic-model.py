#!/usr/bin/env python3
"""Write a model folder with random weights, in the format of MLX: for benchmarks and tests.

The weights mean nothing, but have the shapes, the types and about the magnitudes of real ones, so
time, memory and arithmetic can be measured without a download. Needs Python 3.9 and nothing else.
The same options and seed write the same bytes. The tokenizer is that of examples/models/sprout:
its 2048 tokens are the first of the vocabulary, and what lies beyond them decodes to nothing.
"""

import argparse
import json
import math
import random
import shutil
import struct
from pathlib import Path

EXAMPLES = """examples:
  Llama 3.2 1B, 4 bits (the default; 0.7 GB, some 15 seconds):
    synthetic-model.py /tmp/llama-1b
  the same with 8 bits, or with bfloat16 weights:
    synthetic-model.py /tmp/llama-1b-8bit --bits 8
    synthetic-model.py /tmp/llama-1b-bf16 --bits 16
  small models for tests:
    synthetic-model.py /tmp/tiny --shape tiny-llama --bits 16 --dtype f32
    synthetic-model.py /tmp/tiny --shape tiny-qwen2 --bits 4
    synthetic-model.py /tmp/tiny --shape tiny-llama --files 3 --untied
  any other shape:
    synthetic-model.py /tmp/other --hidden 1024 --layers 4 --heads 16 --kv-heads 4 --head-dim 64
"""

SHAPES = {
    "llama-3.2-1b": {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "vocab_size": 128256,
        "max_position_embeddings": 131072,
        "rope_theta": 500000.0,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
        "rms_norm_eps": 1e-5,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
    },
    # The widths divide by 1, 2 and 4 ranks into whole groups of 64.
    "tiny-llama": {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 32,
        "vocab_size": 2048,
        "max_position_embeddings": 512,
        "rope_theta": 10000.0,
        "rms_norm_eps": 1e-5,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
    },
    # Qwen2 always has biases on q, k and v, and no key in its configuration that says so.
    "tiny-qwen2": {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "vocab_size": 2048,
        "max_position_embeddings": 512,
        "rope_theta": 1000000.0,
        "rms_norm_eps": 1e-6,
        "use_sliding_window": False,
        "tie_word_embeddings": True,
    },
}
# option: key of config.json
OVERRIDES = {
    "hidden": "hidden_size",
    "intermediate": "intermediate_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "vocab": "vocab_size",
}
# option: (safetensors name, bytes, torch name)
DTYPES = {
    "bf16": ("BF16", 2, "bfloat16"),
    "f16": ("F16", 2, "float16"),
    "f32": ("F32", 4, "float32"),
}
SPROUT = Path(__file__).resolve().parent.parent / "examples" / "models" / "sprout"
TOKENIZER_FILES = ["tokenizer.json", "tokenizer_config.json"]
# Rows are cut at random places from a pool of this many random numbers: drawing each number on its
# own would take minutes for a billion of them. A prime, so that rows seldom start alike.
POOL = 65537


def main():
    options = parse_options()
    config = build_config(options)
    check(options, config)
    options.folder.mkdir(parents=True, exist_ok=True)
    for stale in options.folder.glob("model*.safetensors*"):
        stale.unlink()
    tensors = [item for part in list_parts(config) for item in build_tensors(part, options)]
    write_weights(options.folder, tensors, options.files)
    write_json(options.folder / "config.json", config)
    tokens = {key: config[key] for key in ("bos_token_id", "eos_token_id")}
    write_json(options.folder / "generation_config.json", tokens)
    if options.tokenizer != Path("none"):
        for name in TOKENIZER_FILES:
            shutil.copy(options.tokenizer / name, options.folder / name)
    total = sum(tensor["size"] for tensor in tensors)
    print(f"{options.folder}: {len(tensors)} tensors, {total / 1e6:.1f} MB")


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where to write; made if it is not there")
    parser.add_argument("--shape", choices=SHAPES, default="llama-3.2-1b")
    parser.add_argument(
        "--bits", type=int, choices=[4, 8, 16], default=4, help="16: not quantised (default: 4)"
    )
    parser.add_argument("--group-size", type=int, choices=[32, 64, 128], default=64)
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        default="bf16",
        help="of norms, scales and biases, and with --bits 16 of all weights (default: bf16)",
    )
    for name in OVERRIDES:
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=int, metavar="N", help="instead of the shape's")
    parser.add_argument("--untied", action="store_true", help="with an lm_head of its own")
    parser.add_argument("--files", type=int, default=1, help="more than 1: with an index")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--tokenizer", type=Path, default=SPROUT, help="folder to copy it from, or none"
    )
    return parser.parse_args()


def build_config(options):
    config = dict(SHAPES[options.shape])
    for option, key in OVERRIDES.items():
        if getattr(options, option) is not None:
            config[key] = getattr(options, option)
    config["tie_word_embeddings"] = not options.untied
    config.update({"hidden_act": "silu", "bos_token_id": 0, "eos_token_id": 1})
    config["torch_dtype"] = DTYPES[options.dtype][2]
    if options.bits < 16:
        quantization = {"group_size": options.group_size, "bits": options.bits}
        config.update({"quantization": quantization, "quantization_config": quantization})
    return config


def check(options, config):
    if options.files < 1:
        raise SystemExit(f"--files: expected at least 1, got {options.files}")
    if config["num_attention_heads"] % config["num_key_value_heads"]:
        raise SystemExit("--heads: expected a multiple of --kv-heads")
    if config["model_type"] == "qwen2" and "head_dim" in config:
        raise SystemExit("--head-dim: a qwen2 model has hidden / heads, and cannot have another")
    for name, kind, shape in list_parts(config):
        if kind == "matrix" and options.bits < 16 and shape[1] % options.group_size:
            groups = f"multiple of --group-size {options.group_size}"
            raise SystemExit(f"{name}: expected a width that is a {groups}, got {shape[1]}")
    if options.tokenizer != Path("none"):
        tokenizer = json.loads((options.tokenizer / "tokenizer.json").read_text())
        if len(tokenizer["model"]["vocab"]) > config["vocab_size"]:
            raise SystemExit("--vocab: smaller than the tokenizer's; use --tokenizer none")


def list_parts(config):
    """Return (name, kind, shape) of every part; the kinds are matrix, norm and bias."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    size = config.get("head_dim", hidden // config["num_attention_heads"])
    queries = config["num_attention_heads"] * size
    shared = config["num_key_value_heads"] * size
    vocabulary = ("matrix", (config["vocab_size"], hidden))
    parts = [("model.embed_tokens", *vocabulary)]
    for index in range(config["num_hidden_layers"]):
        layer = f"model.layers.{index}"
        attention = f"{layer}.self_attn"
        parts += [
            (f"{layer}.input_layernorm", "norm", (hidden,)),
            (f"{attention}.q_proj", "matrix", (queries, hidden)),
            (f"{attention}.k_proj", "matrix", (shared, hidden)),
            (f"{attention}.v_proj", "matrix", (shared, hidden)),
            (f"{attention}.o_proj", "matrix", (hidden, queries)),
            (f"{layer}.post_attention_layernorm", "norm", (hidden,)),
            (f"{layer}.mlp.gate_proj", "matrix", (inner, hidden)),
            (f"{layer}.mlp.up_proj", "matrix", (inner, hidden)),
            (f"{layer}.mlp.down_proj", "matrix", (hidden, inner)),
        ]
        if config["model_type"] == "qwen2":
            widths = {"q_proj": queries, "k_proj": shared, "v_proj": shared}
            parts += [(f"{attention}.{name}", "bias", (n,)) for name, n in widths.items()]
    parts.append(("model.norm", "norm", (hidden,)))
    if not config["tie_word_embeddings"]:
        parts.append(("lm_head", *vocabulary))
    return parts


def build_tensors(part, options):
    """Return the tensors of a part: name, safetensors type, shape, size and a source of bytes."""
    name, kind, shape = part
    if kind == "matrix" and options.bits < 16:
        return build_quantized(name, shape, options)
    suffix = "bias" if kind == "bias" else "weight"
    mean, deviation = {
        "matrix": (0.0, shape[-1] ** -0.5),
        "norm": (1.0, 0.1),
        "bias": (0.0, 0.1),
    }[kind]
    return [build_floats(f"{name}.{suffix}", shape, mean, deviation, options)]


def build_quantized(name, shape, options):
    """Return weight, scales and biases; w = scale * q + bias, q even over its whole range."""
    rows, columns = shape
    highest = 2**options.bits - 1
    # Integers spread evenly over 0..n have the standard deviation sqrt(n(n+2)/12).
    scale = columns**-0.5 / math.sqrt(highest * (highest + 2) / 12)
    groups = (rows, columns // options.group_size)
    # The bias centres the range on zero. Both are drawn alike: same seed, same places.
    seed_as = f"{name}.scales"
    scales = build_floats(seed_as, groups, scale, scale / 8, options)
    middle = -scale * highest / 2
    biases = build_floats(f"{name}.biases", groups, middle, middle / 8, options, seed_as)
    width = columns * options.bits // 32

    def packed():
        generator = random.Random(f"{options.seed}:{name}.weight")
        for _ in range(rows):
            yield generator.randbytes(width * 4)

    weight = {"name": f"{name}.weight", "type": "U32", "shape": (rows, width)}
    return [{**weight, "size": rows * width * 4, "chunks": packed}, scales, biases]


def build_floats(name, shape, mean, deviation, options, seed_as=None):
    kind, item_size, _ = DTYPES[options.dtype]
    columns = shape[-1]
    rows = math.prod(shape) // columns

    def chunks():
        generator = random.Random(f"{options.seed}:{seed_as or name}")
        count = min(POOL, rows * columns)
        numbers = [mean + deviation * generator.gauss(0, 1) for _ in range(count)]
        pool = encode(numbers, options.dtype)
        pool *= 1 + math.ceil(columns * item_size / len(pool))
        for row in range(rows):
            # A matrix that fits into the pool is drawn whole, without repetition.
            start = row * columns if rows * columns <= POOL else generator.randrange(POOL)
            yield pool[start * item_size : (start + columns) * item_size]

    size = rows * columns * item_size
    return {"name": name, "type": kind, "shape": shape, "size": size, "chunks": chunks}


def encode(numbers, dtype):
    if dtype == "f32":
        return struct.pack(f"<{len(numbers)}f", *numbers)
    if dtype == "f16":
        return struct.pack(f"<{len(numbers)}e", *numbers)
    words = struct.unpack(f"<{len(numbers)}I", struct.pack(f"<{len(numbers)}f", *numbers))
    # Round to nearest, ties to even.
    rounded = [(word + 0x7FFF + (word >> 16 & 1)) >> 16 for word in words]
    return struct.pack(f"<{len(numbers)}H", *rounded)


def write_weights(folder, tensors, count):
    if count == 1:
        write_safetensors(folder / "model.safetensors", tensors)
        return
    total = sum(tensor["size"] for tensor in tensors)
    files = [[] for _ in range(count)]
    before = 0
    for tensor in tensors:
        files[before * count // total].append(tensor)
        before += tensor["size"]
    weight_map = {}
    for index, content in enumerate(files):
        name = f"model-{index + 1:05}-of-{count:05}.safetensors"
        write_safetensors(folder / name, content)
        weight_map.update({tensor["name"]: name for tensor in content})
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    write_json(folder / "model.safetensors.index.json", index)


def write_safetensors(path, tensors):
    header, offset = {"__metadata__": {"format": "mlx"}}, 0
    for tensor in tensors:
        end = offset + tensor["size"]
        offsets = {"dtype": tensor["type"], "shape": tensor["shape"], "data_offsets": [offset, end]}
        header[tensor["name"]] = offsets
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors:
            file.writelines(tensor["chunks"]())


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Train sprout, a Llama of five million parameters, on nine public-domain novels.

    python -m venv /tmp/sprout && /tmp/sprout/bin/pip install torch tokenizers numpy safetensors
    /tmp/sprout/bin/python train.py --work /tmp/sprout-work
    /tmp/sprout/bin/python train.py --work /tmp/sprout-work --narrow
    /tmp/sprout/bin/python export.py --work /tmp/sprout-work

One thread and one seed: the same torch on the same kind of processor gives the same weights.

The first stage reads all the books. Its learning rate is constant and falls over the last
--cooldown steps only, so a run can be cut short before that: `--resume --steps N` ends it as a run
of N steps would have ended. Rows are 256 tokens long at first, which is faster, and 512 in the
cooldown. The second stage, --narrow, goes on from there with two of the books, over and over, at
half the rate, which falls along a cosine: it learns them nearly by heart. Its scenes are cut anew
in every epoch, so that any sentence may come first, as in a prompt.
"""

import argparse
import json
import math
import random
import re
import time
from pathlib import Path

import torch
from corpus import REPEATS, load_scenes
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import nn
from torch.nn import functional

BOS, EOS = "<s>", "</s>"
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 32,
    "vocab_size": 2048,
    "max_position_embeddings": 512,
    "rope_theta": 10000.0,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": True,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
CONTEXT = CONFIG["max_position_embeddings"]
SHORT_CONTEXT = 256
VALIDATION_EVERY = 25  # One scene in 25 is held out.

STAGES = {
    "broad": {"steps": 1700, "cooldown": 300, "batch_tokens": 4096, "rate": 1.0, "warmup": 50},
    "narrow": {"steps": 1150, "batch_tokens": 2048, "rate": 0.5, "warmup": 20},
}
NARROW_BOOKS = ("alice", "sawyer")
CUT_CHANCE = 0.2  # before each sentence
BETWEEN_SENTENCES = re.compile(r"(?<!\bMr)(?<!\bMrs)[.!?]\"?(\s+)(?=[\"A-Z])")


def main():
    options = parse_options()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    work = Path(options.work)
    work.mkdir(parents=True, exist_ok=True)

    scenes = load_scenes(work)
    tokenizer = train_tokenizer(work, scenes)
    training, validation = split(tokenizer, scenes, options)
    count = sum(map(len, training(random.Random())))
    print(f"{count} training tokens an epoch, {sum(map(len, validation))} validation tokens")
    train(options, work, training, torch.tensor(pack(validation, CONTEXT)))


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", default=".cache/sprout", help="folder for texts and checkpoints")
    parser.add_argument("--narrow", action="store_true", help="the second stage")
    parser.add_argument("--steps", type=int, help="each of 4096 tokens, or 2048 if narrow")
    parser.add_argument("--cooldown", type=int, help="last steps, of falling rate; not if narrow")
    parser.add_argument("--muon-rate", type=float, default=6e-3, help="for the matrices of layers")
    parser.add_argument("--adam-rate", type=float, default=3e-3, help="for embeddings and norms")
    parser.add_argument("--seed", type=int, default=1865)
    parser.add_argument("--stop", type=int, help="stop after this step, to be resumed")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--threads", type=int, default=1, help="more are not reproducible")
    options = parser.parse_args()
    for name, value in STAGES["narrow" if options.narrow else "broad"].items():
        if getattr(options, name, None) is None:
            setattr(options, name, value)
    return options


def train_tokenizer(work, scenes):
    """Train a byte-level BPE, so that any text can be encoded; write tokenizer.json."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=CONFIG["vocab_size"],
        special_tokens=[BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [text for name in scenes for text in scenes[name] * REPEATS.get(name, 1)]
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, 0), (EOS, 1)]
    )
    tokenizer.save(str(work / "tokenizer.json"))
    return tokenizer


def split(tokenizer, scenes, options):
    """Return (training, validation): scenes as ids, <s> first and </s> last.

    The training scenes are a function that draws those of one epoch, given a random.Random. The
    second stage holds the same scenes out as the first, but for the openings of its books.
    """
    training, validation = [], []
    opening = [0] if options.narrow else []
    for name in NARROW_BOOKS if options.narrow else scenes:
        held = set(range(0, len(scenes[name]), VALIDATION_EVERY)).difference(opening)
        validation += [scenes[name][index] for index in sorted(held)]
        kept = [text for index, text in enumerate(scenes[name]) if index not in held]
        training += kept * (1 if options.narrow else REPEATS.get(name, 1))
    if options.narrow:
        return lambda order: cut(tokenizer, training, order), encode(tokenizer, validation)
    rows = encode(tokenizer, training)
    return lambda order: rows[:], encode(tokenizer, validation)


def encode(tokenizer, texts):
    return [item.ids + [CONFIG["eos_token_id"]] for item in tokenizer.encode_batch(texts)]


def cut(tokenizer, texts, order):
    """Cut texts between sentences, here and there; each piece has <s>, and a last one </s>."""
    pieces = []
    for text in texts:
        start = 0
        for match in BETWEEN_SENTENCES.finditer(text):
            if order.random() < CUT_CHANCE:
                pieces.append(tokenizer.encode(text[start : match.start(1)]).ids)
                start = match.end(1)
        pieces += encode(tokenizer, [text[start:]])
    return pieces


def pack(scenes, context):
    """Join scenes and cut them into rows: `context` inputs, and the target of the last one."""
    stream = [token for scene in scenes for token in scene]
    last = len(stream) - context - 1
    return [stream[start : start + context + 1] for start in range(0, last + 1, context)]


def batches(training, context, seed, batch_tokens):
    """Yield batches for ever; each epoch is shuffled by its own seed."""
    epoch, rows = 0, []
    size = batch_tokens // context
    while True:
        while len(rows) < size:
            order = random.Random(seed * 1000 + epoch)
            shuffled = training(order)
            order.shuffle(shuffled)
            fresh = pack(shuffled, context)
            order.shuffle(fresh)
            rows += fresh
            epoch += 1
        yield torch.tensor(rows[:size])
        rows = rows[size:]


def train(options, work, training, validation):
    model = Llama()
    matrices = [item for item in model.layers.parameters() if item.ndim == 2]
    others = [item for item in model.parameters() if not any(item is m for m in matrices)]
    optimizers = [
        torch.optim.Muon(
            matrices, lr=options.muon_rate, weight_decay=0.03, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(others, lr=options.adam_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    checkpoint = work / ("narrow.pt" if options.narrow else "checkpoint.pt")
    first = 0
    if options.narrow and not options.resume:
        model.load_state_dict(torch.load(work / "checkpoint.pt")["model"])
    if options.resume:
        state = torch.load(checkpoint)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        first = state["step"]
    rates = [options.muon_rate, options.adam_rate]
    short_rows = batches(training, SHORT_CONTEXT, options.seed, options.batch_tokens)
    long_rows = batches(training, CONTEXT, options.seed + 1, options.batch_tokens)
    for step in range(first):
        next(long_rows if has_long_rows(step, options) else short_rows)

    # Where a piece was cut off, what comes next is not for the model to know.
    ignored = CONFIG["bos_token_id"] if options.narrow else -100
    started = time.monotonic()
    losses = []
    for step in range(first, options.stop or options.steps):
        factor = rate_factor(step, options)
        for optimizer, rate in zip(optimizers, rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * factor
        rows = next(long_rows if has_long_rows(step, options) else short_rows)
        loss = loss_of(model, rows, ignored)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
        done = step + 1
        if done % 20 == 0:
            seconds = time.monotonic() - started
            report = {"step": done, "train": round(sum(losses[-20:]) / 20, 4), "rate": factor}
            print(json.dumps({**report, "seconds": round(seconds)}), flush=True)
        if done % 50 == 0 or done == options.steps:
            states = [optimizer.state_dict() for optimizer in optimizers]
            saved = {"model": model.state_dict(), "optimizers": states, "step": done}
            torch.save(saved, checkpoint.with_suffix(".part"))
            checkpoint.with_suffix(".part").replace(checkpoint)
        if done % (100 if options.narrow else 200) == 0 or done == options.steps:
            held_out = evaluate(model, validation, ignored)
            print(json.dumps({"step": done, "validation": held_out}), flush=True)


def rate_factor(step, options):
    """Warm up; then stay at 1 until the rate falls to 0 over the last --cooldown steps.

    In the second stage it falls from the beginning, along half a cosine.
    """
    left = options.steps - step
    if options.narrow:
        fall = 0.5 - 0.5 * math.cos(math.pi * left / options.steps)
    else:
        fall = left / options.cooldown
    return options.rate * min(1.0, (step + 1) / options.warmup, fall)


def has_long_rows(step, options):
    if options.narrow:
        return step % 8 == 7
    return step >= options.steps - options.cooldown


def loss_of(model, rows, ignored=-100):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(rows[:, :-1])
    targets = rows[:, 1:].flatten()
    return functional.cross_entropy(logits.flatten(0, 1).float(), targets, ignore_index=ignored)


@torch.no_grad()
def evaluate(model, validation, ignored):
    parts = [loss_of(model, rows, ignored).item() * len(rows) for rows in validation.split(8)]
    return round(sum(parts) / len(validation), 4)


class Llama(nn.Module):
    """Named as in a Hugging Face Llama checkpoint, less the leading `model.`."""

    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(CONFIG["vocab_size"], CONFIG["hidden_size"])
        self.layers = nn.ModuleList(Layer() for _ in range(CONFIG["num_hidden_layers"]))
        self.norm = nn.RMSNorm(CONFIG["hidden_size"], eps=CONFIG["rms_norm_eps"])
        self.register_buffer("angles", rope_angles(), persistent=False)
        for name, item in self.named_parameters():
            if item.ndim == 2:
                deviation = 0.02
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    deviation /= math.sqrt(2 * CONFIG["num_hidden_layers"])
                nn.init.normal_(item, std=deviation)

    def forward(self, tokens):
        hidden = self.embed_tokens(tokens)
        angles = self.angles[: tokens.shape[1]]
        for layer in self.layers:
            hidden = layer(hidden, angles.cos(), angles.sin())
        return functional.linear(self.norm(hidden), self.embed_tokens.weight)


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        hidden = CONFIG["hidden_size"]
        self.input_layernorm = nn.RMSNorm(hidden, eps=CONFIG["rms_norm_eps"])
        self.self_attn = Attention()
        self.post_attention_layernorm = nn.RMSNorm(hidden, eps=CONFIG["rms_norm_eps"])
        self.mlp = Mlp()

    def forward(self, hidden, cosine, sine):
        hidden = hidden + self.self_attn(self.input_layernorm(hidden), cosine, sine)
        return hidden + self.mlp(self.post_attention_layernorm(hidden))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        hidden, size = CONFIG["hidden_size"], CONFIG["head_dim"]
        heads, shared = CONFIG["num_attention_heads"], CONFIG["num_key_value_heads"]
        self.q_proj = nn.Linear(hidden, heads * size, bias=False)
        self.k_proj = nn.Linear(hidden, shared * size, bias=False)
        self.v_proj = nn.Linear(hidden, shared * size, bias=False)
        self.o_proj = nn.Linear(heads * size, hidden, bias=False)

    def forward(self, hidden, cosine, sine):
        batch, length, _ = hidden.shape
        split = (batch, length, -1, CONFIG["head_dim"])
        queries = rotate(self.q_proj(hidden).view(split).transpose(1, 2), cosine, sine)
        keys = rotate(self.k_proj(hidden).view(split).transpose(1, 2), cosine, sine)
        values = self.v_proj(hidden).view(split).transpose(1, 2)
        mixed = attend(queries, keys, values)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1))


def attend(queries, keys, values):
    """Causal attention by plain products: on one core faster than torch's fused kernel."""
    group = queries.shape[1] // keys.shape[1]
    length, size = queries.shape[-2:]
    with torch.autocast("cpu", enabled=False):
        scores = (queries * size**-0.5) @ keys.repeat_interleave(group, 1).transpose(-1, -2)
        mask = scores.new_full((length, length), -math.inf).triu(1)
        return (scores + mask).softmax(-1) @ values.repeat_interleave(group, 1)


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        hidden, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
        self.gate_proj = nn.Linear(hidden, inner, bias=False)
        self.up_proj = nn.Linear(hidden, inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)

    def forward(self, hidden):
        return self.down_proj(functional.silu(self.gate_proj(hidden)) * self.up_proj(hidden))


def rope_angles():
    size = CONFIG["head_dim"]
    frequencies = CONFIG["rope_theta"] ** (-torch.arange(0, size, 2).float() / size)
    angles = torch.arange(CONTEXT).float()[:, None] * frequencies
    return torch.cat([angles, angles], dim=-1)


def rotate(heads, cosine, sine):
    """Turn the halves of each head against one another (not neighbours: Hugging Face's way)."""
    low, high = heads.chunk(2, dim=-1)
    cosine, sine = cosine.to(heads.dtype), sine.to(heads.dtype)
    return heads * cosine + torch.cat([-high, low], dim=-1) * sine


if __name__ == "__main__":
    main()

"""Writes test/golden/tiny-qwen2 (untied, f32, sharded) and tiny-qwen2-tied (f16, one file) from transformers.

Both config.json files carry the older RoPE key (rope_theta). Run: pip install torch transformers safetensors; python test/golden/make-qwen2.py
"""

import json
import math
import os
import shutil

import torch
import transformers
from transformers import Qwen2Config, Qwen2ForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
torch.set_num_threads(1)


def rounded(values, digits):
    return [round(float(v), digits) for v in values]


def make(name, tied, dtype, shard, seed):
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=160, hidden_size=32, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=tied, attn_implementation="eager",
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}, rms_norm_eps=1e-6, use_sliding_window=False,
    )
    model = Qwen2ForCausalLM(config).float()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.endswith("bias"):
                parameter.normal_(0, 0.1)
            elif "norm" in key:
                parameter.add_(torch.randn_like(parameter) * 0.1)
            else:
                parameter.mul_(4)
    model = model.to(dtype)
    out = os.path.join(HERE, name)
    shutil.rmtree(out, ignore_errors=True)
    model.save_pretrained(out, max_shard_size=shard)
    path = os.path.join(out, "config.json")
    raw = json.load(open(path))
    for key in ("rope_parameters", "rope_scaling"):
        raw.pop(key, None)
    raw["rope_theta"] = 1000000.0
    raw["torch_dtype"] = raw.pop("dtype")
    json.dump(raw, open(path, "w"), indent=2)
    os.remove(os.path.join(out, "generation_config.json"))
    model = Qwen2ForCausalLM.from_pretrained(out, dtype=torch.float32, attn_implementation="eager")
    json.dump(expected(model, config.vocab_size), open(os.path.join(out, "expected.json"), "w"))


def token_logprobs(model, sequence):
    logits = model(torch.tensor([sequence])).logits[0]
    return logits, torch.log_softmax(logits[:-1], -1).gather(1, torch.tensor(sequence[1:])[:, None])[:, 0]


def expected(model, vocab):
    sequences = [torch.randint(0, vocab, (n,)).tolist() for n in (17, 40, 5, 24)]
    count = sum(len(s) - 1 for s in sequences)

    def loss():
        return -sum(token_logprobs(model, s)[1].sum() for s in sequences) / count

    with torch.no_grad():
        pairs = [token_logprobs(model, s) for s in sequences]
        tokens = list(sequences[0])
        for _ in range(24):
            tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
    result = {
        "source": f"transformers {transformers.__version__}, torch {torch.__version__}, float32 eager attention",
        "sequences": sequences,
        "logits_last": [rounded(logits[-1, :16], 6) for logits, _ in pairs],
        "logits_checksum": [[float(l.double().sum()), float(l.double().square().sum())] for l, _ in pairs],
        "logprobs": [rounded(lp, 6) for _, lp in pairs],
        "greedy_24_from_sequence_0": tokens[len(sequences[0]):],
    }
    loss().backward()
    named = list(model.named_parameters())
    result["grad_norm_per_parameter"] = {key: float(p.grad.norm()) for key, p in named}
    result["grad_first4_per_parameter"] = {key: p.grad.flatten()[:4].tolist() for key, p in named}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    losses, norms = [], []
    for _ in range(10):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)))
        optimizer.step()
        losses.append(float(value))
    assert all(math.isfinite(v) for v in losses)
    result["train"] = {
        "optimizer": "AdamW lr 1e-3 betas 0.9/0.999 eps 1e-8 weight_decay 0.01 (all parameters), clip grad norm 1.0",
        "losses": losses,
        "grad_norms": norms,
    }
    return result


make("tiny-qwen2", tied=False, dtype=torch.float32, shard="60KB", seed=1)
make("tiny-qwen2-tied", tied=True, dtype=torch.float16, shard="5GB", seed=2)

"""Writes test/golden/peft: an adapter of tiny-qwen3 as peft saves it, and what peft computes with it (expected.json).

Run: pip install torch transformers peft; python test/golden/make-peft.py
With a directory as argument it prints the logprobs that peft computes with the adapter in it, as JSON: the check of our writer.
"""

import json
import os
import sys

import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
BASE = os.path.join(HERE, "tiny-qwen3")
OUT = os.path.join(HERE, "peft")
torch.set_num_threads(1)
SEQUENCES = json.load(open(os.path.join(BASE, "expected.json")))["sequences"]


def base_model():
    return AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32, attn_implementation="eager")


def logprobs(model, tokens):
    ids = torch.tensor([tokens])
    rows = torch.log_softmax(model(input_ids=ids).logits[0, :-1].float(), -1)
    return rows[torch.arange(len(tokens) - 1), ids[0, 1:]]


def all_logprobs(model):
    with torch.no_grad():
        return [[round(float(v), 6) for v in logprobs(model, tokens)] for tokens in SEQUENCES]


def mean_loss(model):
    return -torch.cat([logprobs(model, tokens) for tokens in SEQUENCES]).mean()


def make():
    torch.manual_seed(7)
    config = LoraConfig(r=2, lora_alpha=3, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
    model = get_peft_model(base_model(), config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.2)
    model.eval()
    model.save_pretrained(OUT)
    os.remove(os.path.join(OUT, "README.md"))
    path = os.path.join(OUT, "adapter_config.json")
    written = json.load(open(path))
    written["base_model_name_or_path"] = "../tiny-qwen3"
    json.dump(written, open(path, "w"), indent=2)
    expected = {"source": f"peft {peft.__version__}, transformers {transformers.__version__}, torch {torch.__version__}"}
    expected["logprobs"] = all_logprobs(model)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0.01)
    expected["losses"], expected["grad_norms"] = [], []
    for _ in range(5):
        loss = mean_loss(model)
        loss.backward()
        expected["losses"].append(float(loss))
        expected["grad_norms"].append(float(torch.nn.utils.clip_grad_norm_(trained, 1.0)))
        optimizer.step()
        optimizer.zero_grad()
    json.dump(expected, open(os.path.join(OUT, "expected.json"), "w"))


if len(sys.argv) > 1:
    print(json.dumps(all_logprobs(PeftModel.from_pretrained(base_model(), sys.argv[1]).eval())))
else:
    make()

"""Writes the weights of a Qwen3 directory as GGUF, in f32 or bf16, for llama.cpp. The vocabulary is a stand-in of numbered tokens: decoding
speed does not depend on it."""

import argparse
import json
import pathlib

import gguf
import numpy as np
import torch
from safetensors.torch import load_file

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--out", required=True)
parser.add_argument("--dtype", choices=["f32", "bf16"], default="bf16")
options = parser.parse_args()
folder = pathlib.Path(options.model)
config = json.loads((folder / "config.json").read_text())
layers = config["num_hidden_layers"]

writer = gguf.GGUFWriter(options.out, "qwen3")
writer.add_name("bench")
writer.add_block_count(layers)
writer.add_context_length(config["max_position_embeddings"])
writer.add_embedding_length(config["hidden_size"])
writer.add_feed_forward_length(config["intermediate_size"])
writer.add_head_count(config["num_attention_heads"])
writer.add_head_count_kv(config["num_key_value_heads"])
writer.add_key_length(config["head_dim"])
writer.add_value_length(config["head_dim"])
writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
writer.add_rope_freq_base(config["rope_theta"])
writer.add_vocab_size(config["vocab_size"])
writer.add_tokenizer_model("gpt2")
writer.add_tokenizer_pre("qwen2")
writer.add_token_list([f"t{i}" for i in range(config["vocab_size"])])
writer.add_token_types([gguf.TokenType.NORMAL] * config["vocab_size"])
writer.add_token_merges(["t 0"])
writer.add_eos_token_id(0)
writer.add_bos_token_id(1)
writer.add_add_bos_token(False)

names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, layers)
for file in sorted(folder.glob("*.safetensors")):
    for name, tensor in load_file(file).items():
        target = names.get_name(name, try_suffixes=(".weight",))
        assert target is not None, name
        if options.dtype == "bf16" and tensor.dim() > 1:
            data = tensor.to(torch.bfloat16).contiguous().view(torch.uint16).numpy()
            writer.add_tensor(target, data.view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)
        else:
            writer.add_tensor(target, tensor.float().numpy())
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

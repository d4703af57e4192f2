"""What the peer scripts share: timing as `rzero bench` does it (one call that does not count, then the median), and one line of JSON
as the result. Knows no model."""

import argparse
import json
import statistics
import sys
import time

import torch


def arguments(**extra):
    """--threads, --dtype, --repeats and the keyword arguments as options; values are the defaults."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True, help="a Hugging Face model directory")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--repeats", type=int, default=5)
    for name, default in extra.items():
        if default is False:
            parser.add_argument(f"--{name}", action="store_true")
        else:
            parser.add_argument(f"--{name}", type=type(default), default=default)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    return options


def tokens(sequences, length, vocabulary, first=0):
    """The token ids that `rzero bench` uses."""
    return torch.tensor([[((first + s) * 31 + t * 7 + 3) % vocabulary for t in range(length)] for s in range(sequences)])


def repeat(times, work):
    """Seconds of each call after one that does not count."""
    work()
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return seconds


def report(name, seconds, count, **more):
    """Prints the result; `count` is the tokens of one call."""
    median = statistics.median(seconds)
    print(json.dumps({"name": name, "seconds": median, "tokensPerSecond": count / median, "all": seconds, **more}))
    sys.stdout.flush()

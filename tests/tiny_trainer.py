"""A trainer for tests: reads `data.yaml`, counts what it would learn from, writes `results.csv` and `best.pt`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SLEEPER = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base")
    parser.add_argument("--exit", type=int, default=0)
    parser.add_argument("--hang", action="store_true")
    parser.add_argument("--stubborn", action="store_true", help="hang, ignore TERM; so does a child")
    parser.add_argument("--print", type=int, default=0, help="so many bytes")
    parser.add_argument("--nothing", action="store_true", help="write no file")
    parser.add_argument("--model", help="what model.json holds")
    parser.add_argument("--seconds", type=float, default=0.0)
    args, _ = parser.parse_known_args()
    print(f"arguments {json.dumps(sys.argv[1:])}", flush=True)
    print(f"environment {json.dumps(dict(os.environ))}", flush=True)
    print(f"folder {os.getcwd()}", flush=True)
    if args.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", SLEEPER])
        print(f"child {child.pid}", flush=True)
    print(f"pid {os.getpid()}", flush=True)
    while args.hang or args.stubborn:
        time.sleep(0.05)
    time.sleep(args.seconds)
    line = b"x" * 99 + b"\n"
    for _ in range(args.print // len(line)):
        sys.stdout.buffer.write(line)
    if args.exit:
        print("no such luck", file=sys.stderr)
        return args.exit
    if not args.nothing:
        images = len(list(Path(args.data).parent.glob("images/train/*"))) if args.data else 0
        (args.out / "results.csv").write_text(f"epoch,images\n1,{images}\n")
        (args.out / "best.pt").write_bytes(b"weights")
    if args.model:
        (args.out / "model.json").write_text(args.model)
    print("done")
    return 0


if __name__ == "__main__":
    sys.exit(main())

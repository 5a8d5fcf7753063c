set -euo pipefail
cd /work/wt/declare; . /work/env/declare/bin/activate
git rebase -q main
ruff check . && ruff format --check -q . && mypy | tail -1 && lint-imports | tail -2
nice -n 5 pytest -q "$@" tests/test_hygiene.py tests/test_statistics.py 2>&1 | tail -8
flock /work/env/land.lock git -C /work/main merge --ff-only declare 2>&1 | tail -1

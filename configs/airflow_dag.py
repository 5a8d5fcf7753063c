"""An Airflow DAG of the same loop as the GitHub workflow beside it: exit 99 skips what follows.

A gate that cannot be decided (3), or by which no retraining is warranted (1), is no failure of the DAG.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

from airflow import DAG
from airflow.operators.bash import BashOperator

RETRAIN = "detmon gate retrain || { rc=$?; [ $rc -eq 1 ] || [ $rc -eq 3 ] && exit 99; exit $rc; }"
PROMOTE = "detmon gate promote || { rc=$?; [ $rc -eq 3 ] && exit 99; exit $rc; }"
VERSION = "'run {{ ds }}'"

with DAG("detector", schedule="15 6 * * *", start_date=datetime(2026, 1, 1), catchup=False) as dag:
    steps = [
        BashOperator(task_id="ingest", bash_command="detmon ingest logs/*.parquet"),
        BashOperator(task_id="flag", bash_command="detmon engine run"),
        BashOperator(task_id="retrain_gate", bash_command=RETRAIN),
        BashOperator(task_id="version", bash_command=f"detmon version create review --name {VERSION}"),
        BashOperator(
            task_id="train",
            bash_command=f"detmon train create {VERSION} --dataset review --version {VERSION} --wait",
        ),
        BashOperator(task_id="predict", bash_command="python predict.py --out candidate.jsonl"),
        BashOperator(task_id="promote_gate", bash_command=PROMOTE),
        BashOperator(task_id="promote", bash_command="detmon model promote vehicles@4"),
    ]
    for before, after in pairwise(steps):
        before >> after

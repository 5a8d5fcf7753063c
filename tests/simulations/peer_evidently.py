"""Run by the Python of Evidently: its drift preset, with its defaults, on each log of the arguments."""

import sys

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

for path in sys.argv[1:]:
    log = np.load(path)
    boxes = pd.DataFrame({"confidence": log["confidence"], "label": log["label"].astype(str)})
    columns = DataDefinition(numerical_columns=["confidence"], categorical_columns=["label"])
    reference, current = (
        Dataset.from_pandas(boxes[window], data_definition=columns) for window in (~log["current"], log["current"])
    )
    found = Report([DataDriftPreset()]).run(current, reference).dict()["metrics"][0]["value"]
    print("drift" if found["share"] >= 0.5 else "no drift")

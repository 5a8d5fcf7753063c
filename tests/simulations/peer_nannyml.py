"""Run by the Python of NannyML: its univariate drift calculator, with its defaults, on each log of the arguments."""

import sys

import nannyml
import numpy as np
import pandas as pd

nannyml.disable_usage_logging()

for path in sys.argv[1:]:
    log = np.load(path)
    boxes = pd.DataFrame({"confidence": log["confidence"], "label": log["label"].astype(str)})
    calculator = nannyml.UnivariateDriftCalculator(column_names=["confidence", "label"])
    calculator.fit(boxes[~log["current"]].reset_index(drop=True))
    found = calculator.calculate(boxes[log["current"]].reset_index(drop=True)).filter(period="analysis").to_df()
    print("drift" if found.xs("alert", axis=1, level=-1).to_numpy().any() else "no drift")

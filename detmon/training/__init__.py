"""Training jobs: a version is exported, a trainer runs on it, and the model it made is registered.

`run` leads a job through its states, `jobs` is what the store keeps of it. A trainer (`command`, `github`, or one of a
plugin) knows how a training is started, and how it stands.
"""

"""The command line: one file a noun, each verb one call of `Client`. Only `output` writes to stdout."""

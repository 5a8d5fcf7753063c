"""What a configuration file declares: read and checked, made so in the store, described by a schema."""

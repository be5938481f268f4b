"""The rules database: schema, conditions, loader."""

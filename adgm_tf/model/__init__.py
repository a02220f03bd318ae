"""The models: family, engine, conditionals, densities, seeds."""

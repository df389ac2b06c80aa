"""The built kernels. The stub (.pyi) of each module describes it."""

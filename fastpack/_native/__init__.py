"""The built kernels. Each module's stub (.pyi) beside this file says what it offers."""

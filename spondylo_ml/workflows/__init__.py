"""The commands: one plain function each, in a module or a package of its name."""

"""One plain function per verb: where all parts come together."""

"""Keras 3.15's public names, so that a name of Keras's gets better advice than an unknown one."""

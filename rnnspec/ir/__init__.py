"""The tensor IR: operations as data, their builder, text form, verifier and interpreter."""

"""Back ends: from functions of the tensor IR to object code, behind one protocol."""

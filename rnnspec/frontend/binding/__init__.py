"""Calls bound to their callees: arguments matched to names, constants evaluated, types checked, choices looked up."""

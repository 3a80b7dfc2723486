"""Models as files of Keras, written without Keras."""

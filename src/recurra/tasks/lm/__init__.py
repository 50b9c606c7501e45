"""The next symbol of a text, or of documents with conditions."""

"""How results look in a terminal and in text files: numbers, tables, progress."""

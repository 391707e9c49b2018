"""How fast a device reads and writes its own memory: copy and triad over arrays far larger than any cache.

A measured bandwidth stands next to the datasheet's: MBU of the other workloads can be set against either. The byte
counts are STREAM's (J. D. McCalpin, "Memory Bandwidth and Machine Balance", IEEE TCCA Newsletter, 1995): what the
program asks to move, without the line that a CPU may read before it writes it.
"""

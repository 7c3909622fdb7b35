# Compares a dump with the core that it was made of through libkdumpfile alone:
# argv: core, dump, file of a bitmap of pages that the dump must store, number of pages.
# Prints the number of pages that were equal; exits 1 with the reason otherwise.
import sys

from kdumpfile import Context, MACHPHYSADDR
from kdumpfile.exceptions import KdumpfileError

core, dump = Context(), Context()
core.open(sys.argv[1])
dump.open(sys.argv[2])
with open(sys.argv[3], "rb") as f:
    bits = f.read()
limit = int(sys.argv[4])
equal = absent = 0
for pfn in range(limit):
    addr = pfn << 12
    if bits[pfn >> 3] >> (pfn & 7) & 1:
        if dump.read(MACHPHYSADDR, addr, 4096) != core.read(MACHPHYSADDR, addr, 4096):
            sys.exit(f"page {pfn:#x} differs")
        equal += 1
    elif pfn % 16 == 0:
        # an error for each page takes its time; every 16th will do
        try:
            dump.read(MACHPHYSADDR, addr, 4096)
        except KdumpfileError:
            absent += 1
        else:
            sys.exit(f"page {pfn:#x} is there and should not be")
print(equal)

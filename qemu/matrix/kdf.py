# Compares a dump with the core that it was made of through libkdumpfile alone:
# argv: core, dump, file of a bitmap of pages that the dump must store, number of pages.
# Prints the number of pages that were equal; exits 1 with the reason otherwise.
import sys

import kdumpfile

try:
    from kdumpfile.exceptions import KdumpfileError as Error

    def opened(path):
        ctx = kdumpfile.Context()
        ctx.open(path)
        return lambda addr: ctx.read(kdumpfile.MACHPHYSADDR, addr, 4096)

except ImportError:  # before 0.5.5
    from kdumpfile.exceptions import KDumpBaseException as Error

    def opened(path):
        ctx = kdumpfile.kdumpfile(path)
        return lambda addr: ctx.read(kdumpfile.KDUMP_MACHPHYSADDR, addr, 4096)


core, dump = opened(sys.argv[1]), opened(sys.argv[2])
with open(sys.argv[3], "rb") as f:
    bits = f.read()
limit = int(sys.argv[4])
equal = absent = 0
for pfn in range(limit):
    addr = pfn << 12
    if bits[pfn >> 3] >> (pfn & 7) & 1:
        if dump(addr) != core(addr):
            sys.exit(f"page {pfn:#x} differs")
        equal += 1
    elif pfn % 16 == 0:
        # an error for each page takes its time; every 16th will do
        try:
            dump(addr)
        except Error:
            absent += 1
        else:
            sys.exit(f"page {pfn:#x} is there and should not be")
print(equal)

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
        return lambda addr, n: bytes(ctx.read(kdumpfile.MACHPHYSADDR, addr, n << 12))

except ImportError:  # before 0.5.5
    from kdumpfile.exceptions import KDumpBaseException as Error

    def opened(path):
        ctx = kdumpfile.kdumpfile(path)
        return lambda addr, n: ctx.read(kdumpfile.KDUMP_MACHPHYSADDR, addr, n << 12)


core, dump = opened(sys.argv[1]), opened(sys.argv[2])
with open(sys.argv[3], "rb") as f:
    bits = f.read()
limit = int(sys.argv[4])


def stored(pfn):
    return bits[pfn >> 3] >> (pfn & 7) & 1


equal = pfn = 0
while pfn < limit:
    if stored(pfn):
        n = 1
        while n < 64 and pfn + n < limit and stored(pfn + n):
            n += 1
        if dump(pfn << 12, n) != core(pfn << 12, n):
            sys.exit(f"one of {n} pages from {pfn:#x} on differs")
        equal += n
        pfn += n
        continue
    if pfn % 16 == 0:
        # an error for each page takes its time; every 16th will do
        try:
            dump(pfn << 12, 1)
        except Error:
            pass
        else:
            sys.exit(f"page {pfn:#x} is there and should not be")
    pfn += 1
print(equal)

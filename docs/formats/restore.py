#!/usr/bin/env python3
"""Restores the objects of a mirror or an erasure-coded array: restore.py OUT MEMBER... Each MEMBER is a folder with the
objects of one member in files named as their keys; OUT is one where each object gets a file, with + for / in its key."""
import os, struct, sys, zlib
from collections import defaultdict

EXP = [1] * 510  # The powers of 2 in GF(2^8) with the polynomial 0x11d.
for i in range(1, 510):
    EXP[i] = EXP[i - 1] << 1 ^ (0x11D if EXP[i - 1] > 127 else 0)
LOG = {EXP[i]: i for i in range(255)}

def mul(a, b): return EXP[LOG[a] + LOG[b]] if a and b else 0
def power(a, n): return 1 if n == 0 else EXP[LOG[a] * n % 255] if a else 0
def add(a, b, factor): return [v ^ mul(factor, w) for v, w in zip(a, b)]

def invert(m):
    m = [row + [int(r == c) for c in range(len(m))] for r, row in enumerate(m)]
    for c in range(len(m)):
        p = next(r for r in range(c, len(m)) if m[r][c])
        m[c], m[p] = m[p], m[c]
        m[c] = [mul(EXP[255 - LOG[m[c][c]]], v) for v in m[c]]
        m = [row if r == c else add(row, m[c], row[c]) for r, row in enumerate(m)]
    return [row[len(m):] for row in m]

def join(k, n, size, pieces):
    vandermonde = [[power(r, c) for c in range(k)] for r in range(n)]
    top, code = invert(vandermonde[:k]), [[0] * k for _ in range(n)]
    for r in range(n):
        for factor, row in zip(vandermonde[r], top): code[r] = add(code[r], row, factor)
    have, body = sorted(pieces)[:k], b""
    for row in invert([code[i] for i in have]):
        total = 0
        for i, factor in zip(have, row):
            part = pieces[i].translate(bytes(mul(factor, v) for v in range(256)))
            total ^= int.from_bytes(part, "big")
        body += total.to_bytes(len(pieces[have[0]]), "big")
    return body[:size]

def read(cell):  # Key and generation, kind, (data, total, size), index, payload; None if it is damaged.
    crc = lambda part: zlib.crc32(part).to_bytes(4, "little")
    length, kind, k, n, index = struct.unpack_from("<I4B", cell, 8)
    if cell[:8] != b"CBpiece1" or crc(cell[:length - 4]) != cell[length - 4:length]: return None
    count, low, high, size, _, piece, block, name = struct.unpack_from("<6QIH", cell, 16)
    payload, table = cell[length:length + piece], cell[80 + name + 8:length - 4]
    sums = b"".join(crc(payload[at:at + block]) for at in range(0, piece, block))
    if kind == 1 and (len(payload) != piece or sums != table): return None
    return (cell[80:80 + name].decode(), count, high << 64 | low), kind, (k, n, size), index, payload

pieces, kinds, shapes = defaultdict(dict), {}, {}
for path in [os.path.join(at, name) for top in sys.argv[2:] for at, _, names in os.walk(top) for name in names]:
    data = open(path, "rb").read()
    found = read(data) if len(data) >= 84 else None
    if found and found[1] == 1: pieces[found[0]][found[3]], shapes[found[0]] = found[4], found[2]
    elif found: kinds[found[0]] = found[1]
for key in sorted({name[0] for name in [*pieces, *kinds]}):
    whole = [name for name in pieces if name[0] == key and len(pieces[name]) >= shapes[name][0]]
    later = [name for name in [*whole, *kinds] if name[0] == key and name[1] > 0]
    best = max(later) if later else max(whole, key=lambda name: len(pieces[name]), default=None)
    if kinds.get(best) != 3 and best not in whole: print("too few pieces:", key)
    elif kinds.get(best) != 3: open(f"{sys.argv[1]}/{key.replace('/', '+')}", "wb").write(join(*shapes[best], pieces[best]))

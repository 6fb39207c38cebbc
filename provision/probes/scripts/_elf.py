"""Read of an ELF shared library what the loader will do with it: search path, names, exported loader functions."""

import mmap
import re
import struct

_FUNCTION = re.compile(
    rb"_ZN[0-9A-Za-z_]*8internal9DsoLoader[0-9]+(?:Get[A-Za-z]+DsoHandle|MaybeTryDlopenGPULibraries)Ev"
)
_WORD = b"8internal9DsoLoader"
_LOAD, _DYNAMIC = 1, 2
_STRTAB, _STRSZ, _SONAME, _RPATH, _RUNPATH = 5, 10, 14, 15, 29


def dynamic_section(data):
    """Return (names, entries) of a 64-bit little-endian ELF file: its dynamic string table and (tag, value) pairs.

    Raises ValueError for anything else, a file cut short included.
    """
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    try:
        offset, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
        segments = [struct.unpack_from("<IIQQQQ", data, offset + size * place) for place in range(count)]
        loads = [(vaddr, vaddr + filesz, start) for kind, _, start, vaddr, _, filesz in segments if kind == _LOAD]
        entries = []
        for kind, _, start, _, _, filesz in segments:
            if kind == _DYNAMIC:
                for place in range(start, start + filesz, 16):
                    tag, value = struct.unpack_from("<qQ", data, place)
                    if tag == 0:
                        break
                    entries.append((tag, value))
        table = dict(entries)
        begin = next(start + table[_STRTAB] - low for low, high, start in loads if low <= table[_STRTAB] < high)
        names = data[begin : begin + table[_STRSZ]]
    except (struct.error, KeyError, StopIteration, OverflowError, ValueError):
        raise ValueError("not a complete ELF shared library") from None
    if len(names) < table[_STRSZ]:
        raise ValueError("cut short inside its string table")
    return names, entries


def _loader_functions(names):
    """Return the mangled loader functions among the names; looked for by a word first, there are megabytes of them."""
    found = set()
    place = names.find(_WORD)
    while place >= 0:
        end = names.find(b"\0", place)
        end = len(names) if end < 0 else end
        found.update(_FUNCTION.findall(names[names.rfind(b"\0", 0, place) + 1 : end]))
        place = names.find(_WORD, end)
    return found


def read_framework(path):
    """Return what the loader will do for this library: its SONAME, search path and the loader functions it exports."""
    with open(path, "rb") as stream:
        data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            names, entries = dynamic_section(data)
        finally:
            data.close()

    def text(tag):
        for found, value in entries:
            if found == tag:
                return names[value : names.index(b"\0", value)].decode("utf-8", "replace")
        return None

    kind = "RUNPATH" if text(_RUNPATH) is not None else "RPATH" if text(_RPATH) is not None else None
    searched = []
    for entry in (text(_RUNPATH) or text(_RPATH) or "").split(":"):
        if entry and entry not in searched:
            searched.append(entry)
    functions = {}
    for mangled in sorted(_loader_functions(names)):
        plain = re.search(rb"DsoLoader[0-9]+([A-Za-z]+)Ev$", mangled).group(1).decode()
        plain = re.sub(r"^Get([A-Za-z]+)DsoHandle$", r"\1", plain)
        functions[plain] = mangled.decode()
    return {"soname": text(_SONAME), "search": {"kind": kind, "entries": searched}, "functions": functions}


def cut_short(path):
    """Whether a file is shorter than its program headers say, or no ELF file at all; False where it cannot be read."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(64)
            length = stream.seek(0, 2)
            if head[:6] != b"\x7fELF\x02\x01":
                return True
            offset, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
            stream.seek(offset)
            segments = stream.read(size * count)
        places = (struct.unpack_from("<IIQQQQ", segments, size * place) for place in range(count))
        return any(start + filesz > length for _, _, start, _, _, filesz in places)
    except (struct.error, OverflowError, ValueError):
        return True
    except OSError:
        return False

"""Directories, backups, and the checks that walk them."""

import json
import pathlib
import re
import time

from support import TOTAL, at, get, main, mkdir, noise, put, same, tahoe, web


def listing(cap, *names):
    kind, about = web("GET", at(cap, *names), t="json").json()
    assert kind == "dirnode", about
    return about["children"]


def fill(root):
    """A tree of every kind of thing; how many objects it has, with the root."""
    web("PUT", at(root, "small"), noise(30))
    web("PUT", at(root, "file"), noise(70_000, "file"))
    web("PUT", at(root, "mutable"), noise(5000, "mutable"), format="SDMF")
    web("PUT", at(root, "patched"), noise(9000, "patched"), format="MDMF")
    web("POST", at(root), t="mkdir", name="sub")
    web("PUT", at(root, "sub", "ä ö/日本語".replace("/", " ")), noise(60_000, "name"))
    web("POST", at(root, "sub"), t="mkdir", name="deep", format="MDMF")
    web("PUT", at(root, "sub", "deep", "end"), noise(100_000, "end"))
    return 9


def case_a_tree_is_made_listed_changed_and_unlinked():
    root = mkdir()
    fill(root)
    assert sorted(listing(root)) == ["file", "mutable", "patched", "small", "sub"]
    assert sorted(listing(root, "sub")) == ["deep", "ä ö 日本語"]
    same(get(root, "sub", "deep", "end"), noise(100_000, "end"))
    web("POST", at(root), t="rename", from_name="file", to_name="moved")
    same(get(root, "moved"), noise(70_000, "file"))
    web("GET", at(root, "file"), status=404)
    web("DELETE", at(root, "moved"))
    assert "moved" not in listing(root)
    web("PUT", at(root, "small"), b"replaced")
    same(get(root, "small"), b"replaced")


def case_a_directory_of_each_kind_holds_a_hundred_names():
    child = put(noise(1000, "child"))
    for format in ("SDMF", "MDMF"):
        root = mkdir(format=format)
        names = [f"name {number:03}" for number in range(100)]
        children = {name: ["filenode", {"ro_uri": child}] for name in names}
        web("POST", at(root), json.dumps(children).encode(), t="set_children")
        assert sorted(listing(root)) == names


def case_an_immutable_directory_is_made_with_its_children():
    child = put(noise(1000, "child"))
    body = json.dumps({"one": ["filenode", {"ro_uri": child}]}).encode()
    root = web("POST", "/uri", body, t="mkdir-immutable").text()
    same(get(root, "one"), noise(1000, "child"))


def walk(cap, **query):
    """A deep check: what it says of each object, and at the end of all."""
    lines = web("POST", at(cap), t="stream-deep-check", **query).text().splitlines()
    units = [json.loads(line) for line in lines]
    return units[:-1], units[-1]


def case_a_deep_check_verifies_all_and_adds_leases():
    root = mkdir()
    count = fill(root)
    units, stats = walk(root, verify="true", add_lease="true")
    assert len(units) == count, units
    for unit in units:
        results = unit["check-results"]["results"]
        assert results["healthy"], unit
        # What is small enough lives in its capability, and has no shares.
        assert results.get("count-shares-good", TOTAL) == TOTAL, unit
    assert stats["stats"]["count-files"] == 6 and stats["stats"]["count-directories"] == 3, stats
    units, _ = walk(root, repair="true")
    assert not any(unit["check-and-repair-results"]["repair-attempted"] for unit in units if "storage-index" in unit and unit["storage-index"]), units
    manifest = web("POST", at(root), t="stream-manifest").text().splitlines()
    assert len(manifest) == count + 1, manifest


def case_a_backup_is_made_and_restored_and_the_next_reuses_it():
    here = pathlib.Path("tree")
    files = {f"sub{number % 3}/file {number}": noise([0, 10, 5000, 200_000][number % 4], number) for number in range(12)}
    for name, data in files.items():
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    root = mkdir()
    said = tahoe("backup", "-v", here, root).decode()
    assert re.search(r"12 files uploaded \(0 reused\)", said), said
    (here / "sub0/new").write_bytes(noise(7000, "new"))
    said = tahoe("backup", "-v", here, root).decode()
    assert re.search(r"1 files uploaded \(12 reused\)", said), said
    assert len(listing(root, "Archives")) >= 1
    tahoe("cp", "--recursive", f"{root}/Latest", "restored")
    files["sub0/new"] = noise(7000, "new")
    found = {str(path.relative_to("restored")): path for path in pathlib.Path("restored").rglob("*") if path.is_file()}
    found = {name.removeprefix("Latest/"): path for name, path in found.items()}
    assert sorted(found) == sorted(files), sorted(found)
    for name, data in files.items():
        same(found[name].read_bytes(), data)


def case_the_command_manages_a_directory():
    root = mkdir()
    pathlib.Path("one").write_bytes(noise(80_000, "one"))
    tahoe("cp", "one", f"{root}/one")
    tahoe("ln", f"{root}/one", f"{root}/two")
    tahoe("mkdir", f"{root}/sub")
    tahoe("mv", f"{root}/two", f"{root}/sub/two")
    assert sorted(tahoe("ls", root).decode().split()) == ["one", "sub"]
    same(tahoe("get", f"{root}/sub/two"), noise(80_000, "one"))
    said = tahoe("deep-check", "--verify", "--add-lease", root).decode()
    assert "done: 3 objects checked" in said and "3 healthy" in said, said


if __name__ == "__main__":
    main()

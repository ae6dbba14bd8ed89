"""Says what is linked into the executable: the licences of it as text, and a bill of materials as CycloneDX 1.5.

  sbom.py BUILD_FOLDER VERSION NOTICES BILL

Which packages are linked is read off the list of object files, so that one that only tests or tools need does not appear.
"""

import json
import pathlib
import re
import subprocess
import sys
import uuid

SYSTEM_LIBRARIES = ["libcurl4", "libssl3", "libstdc++6", "libgcc-s1", "libc6"]


def linked_modules(build):
    objects = (build / "skillgate.product" / "Objects.LinkFileList").read_text()
    return set(re.findall(r"/([^/\s]+)\.build/", objects))


def packages():
    """Name, version and address of each package there is."""
    tree = json.loads(subprocess.run(
        ["swift", "package", "show-dependencies", "--format", "json"], check=True, capture_output=True, text=True).stdout)
    found = {}

    def walk(node):
        for child in node["dependencies"]:
            found[child["identity"]] = child
            walk(child)

    walk(tree)
    return [found[name] for name in sorted(found)]


def modules_of(package):
    folders = pathlib.Path(package["path"]).glob("[Ss]ources/*")
    return {folder.name for folder in folders if folder.is_dir()}


def texts(folder):
    files = sorted(file for file in pathlib.Path(folder).iterdir() if re.match(r"(?i)(licen[cs]e|notice)", file.name))
    return [(file.name, file.read_text(errors="replace").strip()) for file in files if file.is_file()]


def licence_id(text):
    for mark, name in [("Apache License", "Apache-2.0"), ("MIT", "MIT"), ("Permission is hereby granted", "MIT")]:
        if mark in text:
            return name
    raise SystemExit(f"a licence that is not known: {text[:200]}")


def debian_version(package):
    found = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True)
    return found.stdout or None


def main():
    build, version = pathlib.Path(sys.argv[1]), sys.argv[2]
    notices, bill = pathlib.Path(sys.argv[3]), pathlib.Path(sys.argv[4])
    modules = linked_modules(build)
    linked = [package for package in packages() if modules & modules_of(package)]
    swift = subprocess.run(["swift", "--version"], check=True, capture_output=True, text=True).stdout
    swift_version = re.search(r"Swift version (\S+)", swift).group(1)
    toolchain = pathlib.Path(subprocess.run(
        ["bash", "-c", 'dirname "$(readlink -f "$(command -v swift)")"'], check=True, capture_output=True, text=True
    ).stdout.strip()).parent

    parts = ["What is linked into skillgate, and under which licence.\n"]
    components = []
    runtime = (toolchain / "share/swift/LICENSE.txt").read_text()
    sources = [("swift", swift_version, "https://github.com/swiftlang/swift", [("LICENSE.txt", runtime.strip())])]
    sources += [(p["identity"], p["version"], p["url"].removesuffix(".git"), texts(p["path"])) for p in linked]
    for name, number, url, files in sources:
        if not files:
            raise SystemExit(f"{name} has no licence")
        parts.append("\n".join(
            ["=" * 78, f"{name} {number}  {url}", ""] + [f"--- {file}\n\n{text}\n" for file, text in files]))
        owner = url.removeprefix("https://").lower()
        components.append({
            "type": "library", "bom-ref": name, "name": name, "version": number,
            "purl": f"pkg:swift/{owner}@{number}", "licenses": [{"license": {"id": licence_id(files[0][1])}}],
            "externalReferences": [{"type": "vcs", "url": url}]})
    for name in SYSTEM_LIBRARIES:
        number = debian_version(name)
        if number:
            components.append({
                "type": "library", "bom-ref": f"debian/{name}", "name": name, "version": number, "scope": "required",
                "purl": f"pkg:deb/debian/{name}@{number}",
                "description": "Linked when it starts; this is the version it was built with."})
    notices.write_text("\n".join(parts))
    root = {"type": "application", "bom-ref": "skillgate", "name": "skillgate", "version": version,
            "licenses": [{"license": {"id": "Apache-2.0"}}]}
    # The same content has the same number.
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([root, components], sort_keys=True))
    bill.write_text(json.dumps({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "serialNumber": f"urn:uuid:{serial}", "version": 1,
        "metadata": {"component": root}, "components": components,
        "dependencies": [{"ref": "skillgate", "dependsOn": [part["bom-ref"] for part in components]}]}, indent=1) + "\n")


if __name__ == "__main__":
    main()

# Sourced by quickstart.sh and tests/run.sh: sets $python to an interpreter that has mgjax's packages.
#
# What is already installed is used: the active python if it satisfies setup.cfg, otherwise the checkout's own virtual
# environment, which is made, or brought up to date, with pip. Give constraints (pip's format) as arguments to get a
# separate environment that holds exactly those versions.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Requirements of setup.cfg that an interpreter does not satisfy, one a line: the package's own and those of `test`.
unmet() {
    "$1" - "$root/setup.cfg" "${@:2}" <<'PYTHON'
import configparser, importlib.metadata, sys
try:
    from packaging.requirements import Requirement
except ImportError:
    from pip._vendor.packaging.requirements import Requirement
config = configparser.ConfigParser()
config.read(sys.argv[1])
lines = config["options"]["install_requires"].split("\n") + sys.argv[2:]
extras = ["test"]
for extra in extras:
    required = config["options.extras_require"][extra].split("\n")
    lines += required
    extras += [name for line in required if line.startswith("mgjax[") for name in Requirement(line).extras]
for line in filter(None, (line.strip() for line in lines)):
    requirement = Requirement(line)
    try:
        if requirement.name != "mgjax" and importlib.metadata.version(requirement.name) not in requirement.specifier:
            print(line)
    except importlib.metadata.PackageNotFoundError:
        print(line)
PYTHON
}

find_python() {
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "error: no Python 3.11 or newer was found on this machine" >&2
    return 1
}

set_up() {
    local base environment="$root/.venv" missing
    base=$(find_python) || exit 1
    if [ $# -eq 0 ] && missing=$(unmet "$base" 2>/dev/null) && [ -z "$missing" ]; then
        python=$base
    else
        [ $# -eq 0 ] || environment="$root/.venv-$(echo "$*" | tr -c 'a-zA-Z0-9.\n' '-')"
        python="$environment/bin/python"
        if [ ! -x "$python" ]; then
            echo "making a virtual environment in $environment"
            "$base" -m venv "$environment" || {
                echo "error: $base cannot make a virtual environment (on Debian and Ubuntu: apt install python3-venv)" >&2
                exit 1
            }
        fi
        missing=$(unmet "$python" "$@" 2>/dev/null) || missing="everything"
        if [ -n "$missing" ]; then
            echo "installing mgjax's packages (some hundred megabytes, once)"
            (cd "$root" && "$python" -m pip install --quiet --disable-pip-version-check --editable '.[test]' "$@") || {
                echo "error: pip could not install mgjax's packages; see its message above" >&2
                exit 1
            }
        fi
    fi
    # The checkout itself comes first, installed or not.
    export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
}

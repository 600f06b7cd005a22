#!/bin/sh
# Makes sure that a mariadbd is on this machine, for tests that start their own.
#
# Installs Debian's package when there is none and this user may. The package
# would start a system service: a policy that forbids it stands in the way while
# the package is set up. A database that runs already is never touched.
set -eu

PATH=$PATH:/usr/sbin:/usr/local/sbin

found() { command -v mariadbd >/dev/null 2>&1 || command -v mysqld >/dev/null 2>&1; }

skip() {
	echo "mariadb.sh: $1; the tests that need MariaDB are skipped (with CI=true they fail)" >&2
	exit 0
}

if found; then exit 0; fi
command -v apt-get >/dev/null 2>&1 || skip "there is no mariadbd and no apt-get to install it"
[ "$(id -u)" = 0 ] || skip "there is no mariadbd and only root may install it (apt-get install mariadb-server)"

policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

echo "mariadb.sh: installing mariadb-server for the tests" >&2
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { apt-get update && apt-get install -y --no-install-recommends mariadb-server; } >"$log" 2>&1; then
	tail -n 5 "$log" >&2
	rm -f "$log"
	skip "apt-get could not install mariadb-server"
fi
rm -f "$log"
found || skip "apt-get installed mariadb-server, and still there is no mariadbd"

#!/bin/sh
# Makes sure that a mariadbd is on this machine, for tests that start their own:
# mariadb.sh [cluster], with "cluster" all that it needs to be a node of one.
#
# Installs Debian's packages when there is none and this user may. The package
# would start a system service: a policy that forbids it stands in the way while
# the package is set up. A database that runs already is never touched.
set -eu

PATH=$PATH:/usr/sbin:/usr/local/sbin

packages=mariadb-server
[ "${1:-}" != cluster ] || packages="mariadb-server galera-4 rsync lsof procps"

has() { command -v "$1" >/dev/null 2>&1; }

found() {
	has mariadbd || has mysqld || return 1
	[ "$packages" != mariadb-server ] || return 0
	has rsync && has lsof && has ps && ls /usr/lib*/galera*/libgalera_smm.so >/dev/null 2>&1
}

skip() {
	echo "mariadb.sh: $1; the tests that need MariaDB are skipped (with CI=true they fail)" >&2
	exit 0
}

if found; then exit 0; fi
has apt-get || skip "some of $packages is missing, and there is no apt-get to install it"
[ "$(id -u)" = 0 ] || skip "only root may install what is missing (apt-get install $packages)"

policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

echo "mariadb.sh: installing $packages for the tests" >&2
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { apt-get update && apt-get install -y --no-install-recommends $packages; } >"$log" 2>&1; then
	tail -n 5 "$log" >&2
	rm -f "$log"
	skip "apt-get could not install $packages"
fi
rm -f "$log"
found || skip "apt-get installed $packages, and still something is missing"

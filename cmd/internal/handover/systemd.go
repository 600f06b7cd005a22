package handover

import (
	"fmt"
	"strconv"
)

// firstFD is the first descriptor that systemd passes (sd_listen_fds(3)).
const firstFD = 3

// passedBySystemd reports whether systemd passed a listening socket to this process,
// as descriptor firstFD. The variables name the process that they are for, so those
// inherited from a parent do not count.
func passedBySystemd(getenv func(string) string, pid int) (bool, error) {
	if getenv("LISTEN_PID") != strconv.Itoa(pid) {
		return false, nil
	}
	switch n, err := strconv.Atoi(getenv("LISTEN_FDS")); {
	case err != nil || n < 0:
		return false, fmt.Errorf("handover: LISTEN_FDS=%q: want a number; is the process started by systemd?", getenv("LISTEN_FDS"))
	case n == 0:
		return false, nil
	case n > 1:
		return false, fmt.Errorf("handover: systemd passes %d sockets: want one; leave one ListenStream= in the .socket unit", n)
	}
	return true, nil
}

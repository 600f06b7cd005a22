//go:build !windows

package call

import "syscall"

// refusedErrnos mean that no program of the host listens there.
var refusedErrnos = []syscall.Errno{syscall.ECONNREFUSED}

// localErrnos are faults of the calling machine: no files, ports or memory left.
var localErrnos = []syscall.Errno{
	syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM,
}

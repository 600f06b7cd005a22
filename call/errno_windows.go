package call

import "syscall"

// Numbers of the Windows sockets (winerror.h). The constants of package syscall
// with the Unix names are invented there; no call returns them.
const (
	wsaEMFILE        = syscall.Errno(10024)
	wsaEADDRNOTAVAIL = syscall.Errno(10049)
	wsaENOBUFS       = syscall.Errno(10055)
	wsaECONNREFUSED  = syscall.Errno(10061)
)

// refusedErrnos mean that no program of the host listens there.
var refusedErrnos = []syscall.Errno{wsaECONNREFUSED}

// localErrnos are faults of the calling machine: no files, ports or memory left.
var localErrnos = []syscall.Errno{wsaEMFILE, wsaEADDRNOTAVAIL, wsaENOBUFS}

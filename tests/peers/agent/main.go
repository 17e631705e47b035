// Command agent is the first process of the guest: it mounts what a Linux
// system needs, loads the kernel modules in the order of /etc/modules, gives
// each network card to a namespace of its own, and then carries out the
// requests of the test (package wire) that come over a serial port.
//
// It runs as two processes: process 1 only waits for orphans, since every
// daemon that goes to the background becomes its child; the other one serves.
// Called with "pin" it helps an OpenIKED gateway (see there).
package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

const serveArg = "serve"

func main() {
	if len(os.Args) > 1 && os.Args[1] == serveArg {
		fmt.Println("agent:", serve())
		os.Exit(1)
	}
	if len(os.Args) > 2 && os.Args[1] == pinArg {
		fmt.Println("agent:", pin(os.Args[2:]))
		os.Exit(1)
	}
	if err := setUp(); err != nil {
		fmt.Println("agent: set-up:", err)
	}
	reap()
	// The kernel panics when process 1 ends; panic=-1 makes that a reset, and
	// a reset ends the emulator.
	os.Exit(1)
}

// reap starts the serving process and waits for every child until that one
// ends.
func reap() {
	cmd := exec.Command("/proc/self/exe", serveArg)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		fmt.Println("agent:", err)
		return
	}
	for {
		pid, err := syscall.Wait4(-1, nil, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid == cmd.Process.Pid {
			return
		}
	}
}

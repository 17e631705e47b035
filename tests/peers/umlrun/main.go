// Command umlrun starts User Mode Linux for tests/peers: "umlrun SOCKET PROGRAM
// ARGUMENT..." connects to a unix socket, gives it to the kernel as its first
// serial line, and runs the kernel.
//
// The kernel is many processes, and some outlive the first one when that is
// killed. In a process namespace of their own they all end with it, and it
// ends with umlrun.
//
// Kernels of that kind before 6.10 have room for the registers of older
// processors only and panic where there are AMX's: a filter lets the calls with
// which they ask for all registers fail, and they then do without.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const insideArg = "inside"

func main() {
	runtime.LockOSThread() // the filter and the death signal belong to this thread
	err := errors.New("it takes a socket, a program and its arguments")
	switch {
	case len(os.Args) > 3 && os.Args[1] == insideArg:
		err = become(os.Args[2], os.Args[3:])
	case len(os.Args) > 2:
		err = start(os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "umlrun:", err)
		os.Exit(1)
	}
}

// start runs this program once more as the first process of a namespace, and
// waits for it.
func start(args []string) error {
	cmd := exec.Command("/proc/self/exe", append([]string{insideArg}, args...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Pdeathsig: unix.SIGKILL}
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, unix.SIGTERM, unix.SIGINT)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		for s := range ends {
			if err := cmd.Process.Signal(s); err != nil {
				return // it has ended
			}
		}
	}()
	return cmd.Wait()
}

// become turns this process into the kernel.
func become(socket string, command []string) error {
	line, err := connect(socket)
	if err == nil {
		err = install(withoutRegisterSets())
	}
	if err == nil {
		err = unix.Exec(command[0], append(command, line), os.Environ())
	}
	return err
}

// connect returns the argument that names the connection.
func connect(path string) (string, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return "", err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return fmt.Sprintf("ssl0=fd:%d", fd), nil
}

// withoutRegisterSets answers EINVAL to ptrace(GETREGSET) and (SETREGSET) on
// x86-64, and allows everything else. It reads struct seccomp_data.
func withoutRegisterSets() []unix.SockFilter {
	const (
		load, equal, answer = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
		number, argument    = 0, 16 // offsets of the call and of the low half of its first argument
		allow, fail         = 0x7fff0000, 0x00050000
	)
	return []unix.SockFilter{
		{Code: load, K: number},
		{Code: equal, K: unix.SYS_PTRACE, Jf: 3},
		{Code: load, K: argument},
		{Code: equal, K: unix.PTRACE_GETREGSET, Jt: 2},
		{Code: equal, K: unix.PTRACE_SETREGSET, Jt: 1},
		{Code: answer, K: allow},
		{Code: answer, K: fail | uint32(unix.EINVAL)},
	}
}

func install(filter []unix.SockFilter) error {
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	const modeFilter = 2
	err := errors.Join(
		unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
		unix.Prctl(unix.PR_SET_SECCOMP, modeFilter, uintptr(unsafe.Pointer(&program)), 0, 0),
	)
	runtime.KeepAlive(filter)
	if err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	return nil
}

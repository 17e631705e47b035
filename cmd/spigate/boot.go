package main

import (
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"spigate/board/boot"
)

// isInit reports whether the kernel has started this program as its first
// process, /init of an image. A container starts what it is told to as process
// 1, too, but not by that name.
func isInit(pid int, args []string) bool {
	return pid == 1 && len(args) > 0 && filepath.Base(args[0]) == "init"
}

// runInit is process 1 of the image. It returns only when that has failed.
func runInit() error {
	// A small program that waits for most of its time, on a machine whose memory
	// is the router's.
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(20)
	signals := make(chan os.Signal, 16)
	// The last four are caught because they would end us otherwise, and not
	// ignored because children would inherit that.
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGTERM, syscall.SIGINT, syscall.SIGPWR, syscall.SIGUSR2,
		syscall.SIGUSR1, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGQUIT)
	return boot.Run(boot.Config{
		System: boot.Linux{Self: "/proc/self/exe"}, Now: sinceBoot, Ticks: quarters(), Signals: signals,
		Proc: os.DirFS("/proc"), Notes: "/run/init.sock",
	})
}

// sinceBoot is the time of the kernel's log.
func sinceBoot() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return t.Nano()
}

// quarters has a value four times a second.
func quarters() <-chan struct{} {
	ticks := make(chan struct{})
	go func() {
		for range time.Tick(time.Second / 4) {
			ticks <- struct{}{}
		}
	}()
	return ticks
}

package arm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"spigate/board/image/files"
	"spigate/tests/arm/task"
	"spigate/tests/netns"
)

// Guest is a machine's first file system, made of kernel modules and programs.
type Guest struct {
	Kernel  *Kernel
	Modules []string   // by name, in this order, each after what it needs; what is built in is passed over
	Tasks   []Task     // what runs, one after the other
	Files   files.Tree // further files, may be nil
	Args    []string   // further arguments of QEMU
}

// Task is a program for the guest.
type Task struct {
	Program string   // file of this machine, for ARM, static
	Args    []string // without the program's name
	Env     []string
}

// Result is how a guest's programs ended.
type Result struct {
	Status  []int    // by task; a signal is 128 and its number
	Output  []string // by task: what it printed
	Console string
}

// Build writes the guest's archive to a file.
func (g Guest) Build(ctx context.Context, file string) error {
	tree, err := g.tree(ctx)
	if err != nil {
		return fmt.Errorf("guest: %w", err)
	}
	out, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("guest: %w", err)
	}
	if err := errors.Join(tree.WriteArchive(out), out.Close()); err != nil {
		return fmt.Errorf("guest: %w", err)
	}
	return nil
}

func (g Guest) tree(ctx context.Context) (files.Tree, error) {
	out := files.Tree{}
	for name, n := range g.Files {
		out[name] = n
	}
	order, err := g.Kernel.modules.ModuleOrder(g.Modules)
	if err != nil {
		return nil, err
	}
	job := task.Job{}
	for _, m := range order {
		out[m] = g.Kernel.modules[m]
		job.Modules = append(job.Modules, "/"+m)
	}
	for i, t := range g.Tasks {
		name := fmt.Sprintf("tasks/%d-%s", i, filepath.Base(t.Program))
		if err := addFile(out, name, t.Program); err != nil {
			return nil, err
		}
		job.Tasks = append(job.Tasks, task.Task{Path: "/" + name, Args: t.Args, Env: t.Env})
	}
	text, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	out.File(strings.TrimPrefix(task.File, "/"), 0o644, text)
	first, err := g.Kernel.firstProcess(ctx)
	if err != nil {
		return nil, err
	}
	if err := addFile(out, "init", first); err != nil {
		return nil, err
	}
	for _, dir := range []string{"proc", "sys", "dev", "run", "tmp"} {
		out.Folder(dir)
	}
	out.Parents()
	return out, nil
}

func addFile(t files.Tree, name, file string) error {
	data, err := os.ReadFile(file)
	if err == nil {
		t.File(name, 0o755, data)
	}
	return err
}

// Run starts a machine with the guest and waits until all tasks have ended. dir
// is for its files. A task that fails is no error; a guest that does not come
// to its end is, with its console.
func (g Guest) Run(ctx context.Context, in *netns.Namespace, dir string, cards ...Card) (Result, error) {
	initrd := filepath.Join(dir, "guest.cpio")
	if err := g.Build(ctx, initrd); err != nil {
		return Result{}, err
	}
	m, err := Start(MachineConfig{In: in, Kernel: g.Kernel.Image, Initrd: initrd, Append: "quiet oops=panic", Cards: cards, Args: g.Args})
	if err != nil {
		return Result{}, err
	}
	err = errors.Join(m.Wait(ctx), m.Close())
	r := Result{Console: m.Console()}
	if err != nil {
		return r, err
	}
	if r.Status, r.Output, err = outcome(strings.NewReader(r.Console), len(g.Tasks)); err != nil {
		return r, fmt.Errorf("guest: %w; the console's end:\n%s", err, m.tail())
	}
	return r, nil
}

// outcome reads what the guest's first process said about n tasks.
func outcome(console io.Reader, n int) (status []int, output []string, err error) {
	lines := bufio.NewScanner(console)
	lines.Buffer(nil, 1<<20)
	var text bytes.Buffer
	done := false
	for lines.Scan() {
		said, ours := strings.CutPrefix(lines.Text(), task.Mark)
		var number, ended int
		switch {
		case !ours:
			text.WriteString(lines.Text() + "\n")
		case strings.HasPrefix(said, task.Fault):
			return nil, nil, errors.New(said)
		case said == task.Done:
			done = true
		case scan(said, task.Begins, &number):
			text.Reset()
		case scan(said, task.Ended, &number, &ended):
			status, output = append(status, ended), append(output, text.String())
		}
	}
	if err := lines.Err(); err != nil {
		return nil, nil, err
	}
	if !done || len(status) != n {
		return nil, nil, fmt.Errorf("%d of %d tasks have ended", len(status), n)
	}
	return status, output, nil
}

func scan(line, format string, into ...any) bool {
	n, err := fmt.Sscanf(line, format, into...)
	return err == nil && n == len(into)
}

// BuildTest compiles the tests of a package for ARM into dir and returns the
// program.
func BuildTest(ctx context.Context, pkg, dir string) (string, error) {
	file := filepath.Join(dir, strings.ReplaceAll(pkg, "/", "-")+".test")
	return file, compile(ctx, "test", "-c", "-trimpath", "-ldflags", "-s -w", "-o", file, pkg)
}

// compile runs the Go tool for ARMv7.
func compile(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm", "GOARM=7", "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

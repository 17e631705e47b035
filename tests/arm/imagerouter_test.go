package arm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"spigate/tests/netns"
)

// imageDir is the folder of the router's image: SPIGATE_IMAGE, or one that is
// built now.
func imageDir(t *testing.T, ctx context.Context) string {
	t.Helper()
	if dir := os.Getenv("SPIGATE_IMAGE"); dir != "" {
		return dir
	}
	dir := filepath.Join(t.TempDir(), "image")
	cmd := exec.CommandContext(ctx, "go", "run", "./board/image", "-o", dir, "-compress", "zstd")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

// router is the image at work, with somebody at its console.
type router struct {
	t    *testing.T
	ctx  context.Context
	m    *Machine
	seen int // lines of the console that were read
}

// imageConfig is the image in a machine of 128 MB. flash is its flash's file.
func imageConfig(dir, flash string, in *netns.Namespace, cards ...Card) MachineConfig {
	return MachineConfig{
		In: in, Kernel: filepath.Join(dir, "vmlinuz"), Initrd: filepath.Join(dir, "initramfs"), Append: "quiet panic=5",
		Memory: 128, Cards: cards, Drives: []Drive{{File: flash}}, Reboot: true,
	}
}

// flashOf is a copy of the image's flash.
func flashOf(t *testing.T, dir string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "flash.img")
	data, err := os.ReadFile(filepath.Join(dir, "flash.img"))
	if err == nil {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// startRouter starts a machine and waits until its router is ready.
func startRouter(t *testing.T, ctx context.Context, c MachineConfig) *router {
	t.Helper()
	m, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &router{t: t, ctx: ctx, m: m}
	r.ready()
	return r
}

// await waits for a line that was not read yet. What was typed ahead has a prompt
// before its answer.
func (r *router) await(what string, fits func(line string) bool) string {
	r.t.Helper()
	n := 0
	line, err := r.m.AwaitLine(r.ctx, what, func(line string) bool {
		n++
		return n > r.seen && fits(unprompted(line))
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.seen = n
	return unprompted(line)
}

// unprompted is a line of the console without what invites to type.
func unprompted(line string) string {
	line = strings.TrimRight(line, "\r")
	for strings.HasPrefix(line, "spigate> ") {
		line = strings.TrimPrefix(line, "spigate> ")
	}
	return line
}

func (r *router) awaitText(text string) string {
	r.t.Helper()
	return r.await(fmt.Sprintf("%q", text), func(line string) bool { return strings.Contains(line, text) })
}

// uptime is when a line of the log was written, in seconds since the kernel
// began to count.
func uptime(line string) float64 {
	m := regexp.MustCompile(`\[ *([0-9]+\.[0-9]+)\]`).FindStringSubmatch(line)
	if m == nil {
		return 0
	}
	at, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0
	}
	return at
}

// ready waits until the router runs, and returns when that was.
func (r *router) ready() float64 {
	r.t.Helper()
	return uptime(r.awaitText("init: the router is ready"))
}

func (r *router) typed(line string) {
	r.t.Helper()
	if err := r.m.Type(line); err != nil {
		r.t.Fatal(err)
	}
}

// show asks on the console and decodes the answer's items.
func (r *router) show(rows any, words string) {
	r.t.Helper()
	r.typed("show " + words + " --json")
	var text strings.Builder
	r.await("an answer", func(line string) bool {
		if text.Len() > 0 || strings.HasPrefix(line, `{"version":1,`) {
			text.WriteString(line)
		}
		return line == "]}" || line == `{"version":1,"items":[]}`
	})
	var doc struct{ Items json.RawMessage }
	err := json.Unmarshal([]byte(text.String()), &doc)
	if err == nil {
		err = json.Unmarshal(doc.Items, rows)
	}
	if err != nil {
		r.t.Fatalf("show %s: %v: %s", words, err, &text)
	}
}

// apply types a configuration, and returns what the router says.
func (r *router) apply(text string) string {
	r.t.Helper()
	r.typed("config apply -")
	r.typed(strings.TrimSuffix(text, "\n"))
	r.typed("\x04") // Ctrl-D
	return r.await("an answer to config apply", func(line string) bool {
		return strings.HasPrefix(line, "applied: ") || strings.HasPrefix(line, "(exit code")
	})
}

// hostname is that of the configuration which is kept.
func (r *router) hostname() string {
	r.t.Helper()
	r.typed("config show confirmed")
	line := r.await("the configuration", func(line string) bool {
		return strings.HasPrefix(line, "hostname = ") || strings.HasPrefix(line, "(exit code")
	})
	return strings.Trim(strings.TrimPrefix(line, "hostname = "), `"`)
}

// memory logs what the console's command of that name tells, and returns the
// router's resident memory in kilobytes.
func (r *router) memory(when string) (rss int) {
	r.t.Helper()
	r.typed("memory")
	var text bytes.Buffer
	r.await("the memory", func(line string) bool {
		for _, begin := range []string{"machine ", "init ", "router "} {
			if strings.HasPrefix(line, begin) {
				fmt.Fprintln(&text, line)
			}
		}
		if !strings.Contains(line, "VmRSS") {
			return false
		}
		fmt.Fprint(&text, line)
		_, err := fmt.Fscan(strings.NewReader(line[strings.Index(line, "VmRSS")+len("VmRSS"):]), &rss)
		return err == nil
	})
	r.t.Logf("memory %s:\n%s", when, &text)
	return rss
}

// cleanEnd turns the machine off by its console.
func (r *router) cleanEnd() {
	r.t.Helper()
	r.typed("poweroff")
	if err := r.m.Wait(r.ctx); err != nil {
		r.t.Error(err)
	}
}

// factory is the image's own configuration with other words in it.
func factory(t *testing.T, oldnew ...string) string {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "configs", "examples", "qemu-virt-arm.toml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(text, oldnew[i]) {
			t.Fatalf("the factory configuration has no %q", oldnew[i])
		}
		text = strings.ReplaceAll(text, oldnew[i], oldnew[i+1])
	}
	return text
}

package web

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is Chromium with one window.
type browser struct {
	ctx      context.Context
	end      func()
	pictures string

	mu     sync.Mutex
	faults []string // what the browser complained about
}

// programs that may be Chromium; tests/deps.sh installs the first.
var programs = [...]string{"chromium", "chromium-browser", "google-chrome"}

// open starts the browser.
func open(ctx context.Context, pictures, profile string) (*browser, error) {
	program := ""
	for _, name := range programs {
		if path, err := exec.LookPath(name); err == nil && program == "" {
			program = path
		}
	}
	if program == "" {
		return nil, fmt.Errorf("no browser: the pages are looked at in Chromium, which \"make deps\" installs (package chromium): none of %s is here",
			strings.Join(programs[:], ", "))
	}
	if err := os.MkdirAll(pictures, 0o755); err != nil {
		return nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.IgnoreCertErrors,
	)
	allocated, free := chromedp.NewExecAllocator(ctx, options...)
	tab, closeTab := chromedp.NewContext(allocated)
	b := &browser{ctx: tab, pictures: pictures}
	b.end = func() {
		closeTab()
		free()
		chromedp.FromContext(tab).Allocator.Wait()
	}
	err := chromedp.Do(tab, command(log.Enable, cdp.Empty{}), command(runtime.Enable, cdp.Empty{}))
	if err == nil {
		err = chromedp.Listen(tab, b.listen)
	}
	if err != nil {
		b.end()
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	return b, nil
}

// listen collects what the browser complains about: scripts that fail, what the
// page's own policy forbids, files that are not there.
func (b *browser) listen(event any) {
	text := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			text = fmt.Sprintf("%s: %s", e.Entry.URL, e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		text = fmt.Sprintf("%s: %s", e.ExceptionDetails.URL, e.ExceptionDetails.Text)
	}
	if text == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, text)
}

// complaints returns what there were since the last call.
func (b *browser) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.faults
	b.faults = nil
	return out
}

// step is one thing that is done in the browser.
type step = chromedp.Action[chromedp.Void]

// do takes some steps, all together in a bounded while.
func (b *browser) do(steps ...step) error {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Do(ctx, steps...)
}

// read takes a step that answers something.
func read[T any](b *browser, answers chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, answers)
}

// command is a command of the browser's own protocol.
func command[P, R any](c cdp.Command[P, R], params P) step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// patience is how long one step may take; a good one takes milliseconds.
const patience = 30 * time.Second

// device is a way to look at the pages.
type device struct {
	name          string
	width, height int64
	dark          bool
}

func devices() []device {
	return []device{{"phone", 390, 844, false}, {"desk", 1280, 800, false}}
}

func (d device) inTheDark() device {
	d.dark, d.name = true, d.name+"-dark"
	return d
}

// use makes the window that of a device.
func (b *browser) use(d device) error {
	scheme := "light"
	if d.dark {
		scheme = "dark"
	}
	feature := &emulation.MediaFeature{Name: "prefers-color-scheme", Value: scheme}
	return b.do(chromedp.EmulateViewport(d.width, d.height),
		command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{feature}}))
}

// picture keeps the whole page as it looks now.
func (b *browser) picture(name string) error {
	png, err := read(b, chromedp.FullScreenshot(100))
	if err != nil {
		return fmt.Errorf("picture %s: %w", name, err)
	}
	if len(png) < 1000 {
		return errors.New("picture " + name + " is empty")
	}
	return os.WriteFile(filepath.Join(b.pictures, name+".png"), png, 0o644)
}

// asked is what the page and its files took, in bytes of their bodies, and where
// from.
type asked struct {
	Bytes int      `json:"bytes"`
	From  []string `json:"from"`
}

// loaded asks the browser what the page was made of.
func (b *browser) loaded() (asked, error) {
	return read(b, chromedp.Evaluate[asked](`(() => {
		const all = performance.getEntriesByType("navigation").concat(performance.getEntriesByType("resource"));
		return {bytes: all.reduce((n, e) => n + e.decodedBodySize, 0), from: all.map(e => new URL(e.name).origin)};
	})()`))
}

// overflow is by how many pixels the page is wider than the window.
func (b *browser) overflow() (int, error) {
	return read(b, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`))
}

package web

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"spigate/tests/netns"
)

// profileRow is an item of `show ipsecalg profile --json`.
type profileRow struct {
	Gate float64 `json:"esp_gate_timeout_seconds"`
}

// gateTimeout is what the router itself says.
func (b *bench) gateTimeout() float64 {
	b.Helper()
	var rows []profileRow
	if err := b.daemon.Show(b.ctx, &rows, "ipsecalg", "profile"); err != nil || len(rows) != 1 {
		b.Fatalf("%v %v", rows, err)
	}
	return rows[0].Gate
}

// NetScaler's procedure ends with a profile whose timeouts somebody changes. Here
// it is changed in the form, looked at, applied, and nobody confirms it.
func TestAnEditThatNobodyConfirmsIsTakenBack(t *testing.T) {
	b := newBench(t)
	b.goTo("/")
	b.logIn()
	if was := b.gateTimeout(); was != 20 {
		t.Fatalf("the gate timeout of the example is %v s", was)
	}
	b.goTo("/edit?kind=ipsecalg.profile&name=IPSECALGPROFILE-1")
	field := chromedp.CSS(`input[name="f.esp_gate_timeout"]`)
	b.must("change the timeout", chromedp.WaitVisible(field), chromedp.Clear(field), chromedp.SendKeys(field, "7s"))
	for _, d := range devices() {
		b.look(d, "edit-form")
	}
	b.must("look at what changes", chromedp.Click(chromedp.CSS(`button[value=preview]`)), chromedp.WaitVisible(chromedp.CSS(`.diff .plus`)))
	for class, want := range map[string]string{"minus": "20s", "plus": "7s"} {
		text, err := read(b.browser, chromedp.Text(chromedp.CSS(".diff ."+class)))
		if want = fmt.Sprintf(`"%s"`, want); err != nil || !strings.Contains(text, want) {
			t.Errorf("the difference lacks %s: %q %v", want, text, err)
		}
	}
	for _, d := range devices() {
		b.look(d, "edit-difference")
	}
	if is := b.gateTimeout(); is != 20 {
		t.Errorf("before it is applied it is %v s", is)
	}
	// The form's shortest time is a minute, for which no test waits.
	b.becomes("a shorter time", `(document.querySelector("select[name=confirm] option").value = "15s")`)
	b.must("apply", chromedp.Click(chromedp.CSS(`button[value=apply]`)), chromedp.WaitVisible(chromedp.CSS(`button[value=confirm]`)))
	if is := b.gateTimeout(); is != 7 {
		t.Errorf("applied it is %v s", is)
	}
	for _, d := range devices() {
		b.look(d, "config-pending")
	}
	if err := netns.Poll(b.ctx, 100*time.Millisecond, func() bool { return b.gateTimeout() == 20 }); err != nil {
		t.Fatalf("it is not rolled back: %v", err)
	}
	b.goTo("/config")
	pending, err := read(b.browser, chromedp.Evaluate[bool](`document.querySelector("button[value=confirm]") !== null`))
	if err != nil || pending {
		t.Errorf("the page still asks for it to be confirmed: %v", err)
	}
	b.look(devices()[1], "config-rolled-back")
}

package chromium

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Tab is one tab of a browser. Its methods do what a person does, wait until it can be done, and fail
// the test when it cannot. It is not safe for concurrent use.
type Tab struct {
	b      *Browser
	ctx    context.Context
	close  func()
	status atomic.Int64

	page  *Tab   // of the page, in a view of a frame of it
	frame string // the frame's CSS selector
}

// The patience of a person on a loaded machine, and how often they look.
const (
	patience = 30 * time.Second
	look     = 25 * time.Millisecond
)

var none cdp.Empty

// ask runs a command of the protocol and returns its result.
func ask[P, R any](t *Tab, command cdp.Command[P, R], params P) (R, error) {
	return askWithin(t, patience, command, params)
}

func askWithin[P, R any](t *Tab, limit time.Duration, command cdp.Command[P, R], params P) (R, error) {
	ctx, cancel := context.WithTimeout(t.ctx, limit)
	defer cancel()
	return chromedp.Call(ctx, command, params)
}

// call runs a command that has no result.
func call[P any](t *Tab, command cdp.Command[P, cdp.Empty], params P) error {
	_, err := ask(t, command, params)
	return err
}

func (t *Tab) must(err error) {
	t.b.tb.Helper()
	if err != nil {
		t.b.tb.Fatalf("chromium: %v (at %s)", err, t.where())
	}
}

// where tells the page for an error message.
func (t *Tab) where() string {
	var page struct{ URL, Title, Text string }
	if err := t.script(&page, `({URL: location.href, Title: document.title, Text: document.body ? document.body.innerText.slice(0, 600) : ""})`); err != nil {
		return "no page"
	}
	return fmt.Sprintf("%s %q:\n%s", page.URL, page.Title, page.Text)
}

// script decodes the value of an expression in the page. It works with JavaScript switched off, too.
func (t *Tab) script(into any, expression string) error {
	world, err := t.world()
	if err != nil {
		return err
	}
	return t.scriptIn(world, patience, into, expression)
}

// scriptIn is script in a world of the page.
func (t *Tab) scriptIn(world runtime.ExecutionContextID, limit time.Duration, into any, expression string) error {
	yes := true
	answer, err := askWithin(t, limit, runtime.Evaluate, runtime.EvaluateParams{Expression: expression, ReturnByValue: new(into != nil), AwaitPromise: &yes, ContextID: world})
	switch {
	case err != nil:
		return err
	case answer.ExceptionDetails != nil:
		return fmt.Errorf("script: %s%s", answer.ExceptionDetails.Text, described(answer.ExceptionDetails))
	case into == nil:
		return nil
	}
	return json.Unmarshal(answer.Result.Value, into)
}

// described is what an exception says of itself.
func described(e *runtime.ExceptionDetails) string {
	if e.Exception == nil {
		return ""
	}
	return " " + e.Exception.Description
}

// quoted is a string as a literal of JavaScript.
func quoted(s string) string {
	text, _ := json.Marshal(s) // a string cannot fail
	return string(text)
}

// until asks again until done returns true. A page that is being left cannot be asked; the next one can.
func (t *Tab) until(what string, done func() (bool, error)) {
	t.b.tb.Helper()
	var last error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(look) {
		ok, err := done()
		if ok && err == nil {
			return
		}
		last = err
	}
	t.b.tb.Fatalf("chromium: waited in vain for %s: %v (at %s)", what, last, t.where())
}

// Close closes the tab.
func (t *Tab) Close() { t.close() }

// Open shows the page at the address.
func (t *Tab) Open(address string) {
	t.b.tb.Helper()
	t.leave("the page "+address, func() error {
		answer, err := ask(t, page.Navigate, page.NavigateParams{URL: address})
		if err == nil && answer.ErrorText != "" {
			err = errors.New(answer.ErrorText)
		}
		return err
	})
}

// leave does what leads to another page, or to the same one again, and waits until that is there.
func (t *Tab) leave(what string, act func() error) {
	t.b.tb.Helper()
	var before float64
	t.must(t.script(&before, "performance.timeOrigin"))
	t.must(act())
	t.until(what, func() (bool, error) {
		var now struct {
			Origin float64
			Ready  bool
		}
		err := t.script(&now, `({Origin: performance.timeOrigin, Ready: document.readyState === "complete"})`)
		return now.Ready && now.Origin != before, err
	})
}

// Reload loads the page again.
func (t *Tab) Reload() {
	t.b.tb.Helper()
	t.leave("the page again", func() error { return call(t, page.Reload, page.ReloadParams{}) })
}

// Back presses the back button.
func (t *Tab) Back() {
	t.b.tb.Helper()
	t.leave("the page before", func() error {
		history, err := ask(t, page.GetNavigationHistory, none)
		if err != nil {
			return err
		}
		if history.CurrentIndex == 0 {
			return errors.New("there is no page before")
		}
		entry := history.Entries[history.CurrentIndex-1]
		return call(t, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: entry.ID})
	})
}

// URL is the address of the page.
func (t *Tab) URL() string {
	t.b.tb.Helper()
	var address string
	t.must(t.script(&address, "location.href"))
	return address
}

// Status is the HTTP status of the page, or of the last one that was not taken from the cache.
func (t *Tab) Status() int { return int(t.status.Load()) }

// Value is the value of an expression of JavaScript in the page, as a string.
func (t *Tab) Value(expression string) string {
	t.b.tb.Helper()
	var value string
	t.must(t.script(&value, "String("+expression+")"))
	return value
}

// Has reports whether the page has an element with the id now.
func (t *Tab) Has(id string) bool {
	t.b.tb.Helper()
	var has bool
	t.must(t.script(&has, "document.getElementById("+quoted(id)+") !== null"))
	return has
}

// Wait waits for a page that has an element with the id.
func (t *Tab) Wait(id string) {
	t.b.tb.Helper()
	t.until("#"+id, func() (bool, error) {
		var has bool
		err := t.script(&has, `document.readyState === "complete" && document.getElementById(`+quoted(id)+`) !== null`)
		return has, err
	})
}

// Text waits for the element with the id and returns its text as shown.
func (t *Tab) Text(id string) string {
	t.b.tb.Helper()
	t.Wait(id)
	return t.Value("document.getElementById(" + quoted(id) + ").innerText.trim()")
}

// spot scrolls to an element and finds its middle, where nothing may cover it. Fonts that are still to come would
// move it.
const spot = `(e => {
	if (document.readyState === "loading" || document.fonts.status === "loading" || !e) return null;
	if (e.type === "radio" || e.type === "checkbox") e = e.labels[0] || e;
	e.scrollIntoView({block: "center", behavior: "instant"});
	const r = e.getBoundingClientRect(), x = r.left + r.width / 2, y = r.top + r.height / 2;
	const hit = document.elementFromPoint(x, y);
	return hit && (e === hit || e.contains(hit) || hit.contains(e)) ? {X: x, Y: y} : null;
})`

// point is a place in the window, in CSS pixels.
type point struct{ X, Y float64 }

// clickOn clicks into the middle of the element that the expression finds, once it stays where it is.
func (t *Tab) clickOn(element string, clicks int) {
	t.b.tb.Helper()
	var at *point
	t.until(element+" to click on", func() (bool, error) {
		var now *point
		err := t.script(&now, spot+"("+element+")")
		stays := now != nil && at != nil && *now == *at
		at = now
		return stays, err
	})
	t.clickAt(*at, clicks)
}

func (t *Tab) clickAt(at point, clicks int) {
	t.b.tb.Helper()
	corner, err := t.corner()
	t.must(err)
	for n := 1; n <= clicks; n++ {
		for _, kind := range []input.DispatchMouseEventType{input.DispatchMouseEventTypeMousePressed, input.DispatchMouseEventTypeMouseReleased} {
			t.must(call(t, input.DispatchMouseEvent, input.DispatchMouseEventParams{
				Type: kind, X: corner.X + at.X, Y: corner.Y + at.Y, Button: input.MouseButtonLeft, ClickCount: int64(n),
			}))
		}
	}
}

func byID(id string) string { return "document.getElementById(" + quoted(id) + ")" }

// Click clicks on the element with the id, on its label if it is a box, and does not wait for anything.
func (t *Tab) Click(id string) {
	t.b.tb.Helper()
	t.clickOn(byID(id), 1)
}

// Try clicks on the element with the id if it is there, which a page that goes on by itself leaves open.
func (t *Tab) Try(id string) {
	t.b.tb.Helper()
	var at *point
	if err := t.script(&at, spot+"("+byID(id)+")"); err == nil && at != nil {
		t.clickAt(*at, 1)
	}
}

// Follow clicks on the element with the id and waits for the page that comes of it.
func (t *Tab) Follow(id string) {
	t.b.tb.Helper()
	t.leave("what follows #"+id, func() error {
		t.clickOn(byID(id), 1)
		return nil
	})
}

// FollowSelector is Follow for an element without an id.
func (t *Tab) FollowSelector(selector string) {
	t.b.tb.Helper()
	t.leave("what follows "+selector, func() error {
		t.clickOn("document.querySelector("+quoted(selector)+")", 1)
		return nil
	})
}

// FollowTwice double-clicks and waits for the page that comes of it.
func (t *Tab) FollowTwice(id string) {
	t.b.tb.Helper()
	t.leave("what follows #"+id, func() error {
		t.clickOn(byID(id), 2)
		return nil
	})
}

// Fill types the text into the field with the id, in place of what it holds.
func (t *Tab) Fill(id, text string) {
	t.b.tb.Helper()
	t.Click(id)
	t.must(t.script(nil, byID(id)+".select()"))
	t.must(call(t, input.InsertText, input.InsertTextParams{Text: text}))
}

// Upload chooses a file in the field with the id.
func (t *Tab) Upload(id, path string) {
	t.b.tb.Helper()
	t.Wait(id)
	found, err := ask(t, runtime.Evaluate, runtime.EvaluateParams{Expression: byID(id)})
	t.must(err)
	t.must(call(t, dom.SetFileInputFiles, dom.SetFileInputFilesParams{Files: []string{path}, ObjectID: found.Result.ObjectID}))
}

// Drop drags a file or folder from the desktop onto the element with the id.
func (t *Tab) Drop(id, path string) {
	t.b.tb.Helper()
	var at *point
	t.until("#"+id+" to drop on", func() (bool, error) {
		err := t.script(&at, spot+"("+byID(id)+")")
		return at != nil, err
	})
	for _, kind := range []input.DispatchDragEventType{input.DispatchDragEventTypeDragEnter, input.DispatchDragEventTypeDragOver, input.DispatchDragEventTypeDrop} {
		t.must(call(t, input.DispatchDragEvent, input.DispatchDragEventParams{
			Type: kind, X: at.X, Y: at.Y, Data: &input.DragData{Items: []*input.DragDataItem{}, Files: []string{path}, DragOperationsMask: 1},
		}))
	}
}

// Type presses keys: letters, or those of chromedp's package kb.
func (t *Tab) Type(keys string) {
	t.b.tb.Helper()
	t.must(t.keys(keys))
}

// Insert types text that no single key gives, such as Korean, into what has the focus.
func (t *Tab) Insert(text string) {
	t.b.tb.Helper()
	t.must(call(t, input.InsertText, input.InsertTextParams{Text: text}))
}

// Enter presses the enter key and waits for the page that comes of it.
func (t *Tab) Enter() {
	t.b.tb.Helper()
	t.leave("what follows the enter key", func() error {
		t.Type("\r")
		return nil
	})
}

// TabTo presses the tab key until the element with the id has the focus, which must be visible on every
// element on the way.
func (t *Tab) TabTo(id string) {
	t.b.tb.Helper()
	t.Wait(id)
	last := -1 // where the last one was: what follows at the same place are its parts, such as the day of a date
	for range 60 {
		t.Press("Tab")
		at := t.Focused()
		if !at.Visible && at.Tag != "body" && at.place != last {
			t.b.tb.Errorf("chromium: %s shows no focus (at %s)", at, t.URL())
		}
		if at.ID == id {
			return
		}
		last = at.place
	}
	t.b.tb.Fatalf("chromium: the tab key does not reach #%s (at %s)", id, t.where())
}

// Size makes the window that many CSS pixels wide and high, until a screenshot is taken. A window less than 768
// pixels wide is a phone's.
func (t *Tab) Size(width, height int64) {
	t.b.tb.Helper()
	t.must(call(t, page.BringToFront, none)) // a tab behind another one is not drawn
	t.must(call(t, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 768,
	}))
}

// Screenshot takes a picture, in PNG, of the whole page in a window of that many CSS pixels, as Size makes it.
func (t *Tab) Screenshot(width, height int64) []byte {
	t.b.tb.Helper()
	t.Size(width, height)
	var wide struct{ Content, Window float64 }
	t.must(t.script(&wide, `document.fonts.ready.then(() => { scrollTo(0, 0); return {Content: document.documentElement.scrollWidth, Window: innerWidth} })`))
	if wide.Content > float64(width) || wide.Window > float64(width) {
		t.b.tb.Errorf("chromium: the page is %v CSS pixels wide in a window of %d (at %s)", wide.Content, width, t.URL())
	}
	yes := true
	var picture []byte
	t.until("a picture", func() (bool, error) { // a page that loads itself again has no height in between
		metrics, err := ask(t, page.GetLayoutMetrics, none)
		if err != nil || metrics.CSSContentSize.Height == 0 {
			return false, err
		}
		taken, err := ask(t, page.CaptureScreenshot, page.CaptureScreenshotParams{
			Format: page.CaptureScreenshotFormatPng, CaptureBeyondViewport: &yes,
			Clip: &page.Viewport{Width: float64(width), Height: metrics.CSSContentSize.Height, Scale: 1},
		})
		picture = taken.Data
		return err == nil, err
	})
	t.must(call(t, emulation.ClearDeviceMetricsOverride, none))
	return picture
}

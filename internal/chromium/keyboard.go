package chromium

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// pressable are the keys that somebody without a pointer needs, by their names in KeyboardEvent.code.
var pressable = map[string]string{
	"Tab": kb.Tab, "Enter": kb.Enter, "Space": " ", "Escape": kb.Escape,
	"ArrowUp": kb.ArrowUp, "ArrowDown": kb.ArrowDown, "ArrowLeft": kb.ArrowLeft, "ArrowRight": kb.ArrowRight,
}

// Press presses keys, one after the other: Tab, Enter, Space, Escape, ArrowUp, ArrowDown, ArrowLeft and ArrowRight,
// each also as "Shift+Tab". It does not wait for a page that comes of it.
func (t *Tab) Press(keys ...string) {
	t.b.tb.Helper()
	for _, name := range keys {
		plain, shifted := strings.CutPrefix(name, "Shift+")
		key, ok := pressable[plain]
		if !ok {
			t.b.tb.Fatalf("chromium: no key %q", name)
		}
		var options []chromedp.KeyOption
		if shifted {
			options = append(options, chromedp.KeyModifiers(chromedp.ModifierShift))
		}
		t.must(t.keys(key, options...))
	}
}

func (t *Tab) keys(keys string, options ...chromedp.KeyOption) error {
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	return chromedp.Do(ctx, chromedp.KeyEvent(keys, options...))
}

// Focus is the element that the keyboard acts on, as it is shown and as assistive technology tells it.
type Focus struct {
	ID, Tag    string // Tag in small letters; "body" if nothing has the focus
	Role, Name string // "button", "로그인"
	Visible    bool   // whether one sees that it has the focus: an outline, on the screen and not covered

	place  int // in the document
	ranked bool
}

func (f Focus) String() string {
	id := ""
	if f.ID != "" {
		id = "#" + f.ID
	}
	return fmt.Sprintf("%s%s (%s %q)", f.Tag, id, f.Role, f.Name)
}

// focused looks at an element. What shows its focus is its outline, or that of its label, of what follows it or of
// what holds it, where the element itself is not to be seen: of these, one must be on the screen, and uncovered. A frame
// shows it inside.
const focused = `function() {
	const shows = e => {
		const s = getComputedStyle(e);
		return s.outlineStyle !== "none" && s.outlineWidth !== "0px" && !/^rgba\(.*, 0\)$/.test(s.outlineColor) && s.opacity !== "0";
	};
	const seen = e => [...e.getClientRects()].some(r => r.width > 3 && r.height > 3 &&
		[[.5, .5], [.1, .5], [.9, .5], [.5, .1], [.5, .9]].some(([x, y]) => {
			const hit = document.elementFromPoint(r.left + r.width * x, r.top + r.height * y);
			return hit && (e.contains(hit) || hit.contains(e));
		}));
	const near = [this, ...(this.labels || []), this.nextElementSibling, this.parentElement, this.parentElement?.parentElement];
	return {
		ID: this.id, Tag: this.localName, Ranked: this.tabIndex > 0, Place: [...document.querySelectorAll("*")].indexOf(this),
		Visible: this.localName === "iframe" ? seen(this) : near.some(e => e && e !== document.body && shows(e) && seen(e)),
	};
}`

// settle is how long the scrolling to what has the focus may take.
const settle = time.Second

// Focused tells what has the focus.
func (t *Tab) Focused() Focus {
	t.b.tb.Helper()
	return t.focusedIn(t.apart)
}

func (t *Tab) focusedIn(world func() (runtime.ExecutionContextID, error)) Focus {
	t.b.tb.Helper()
	var f Focus
	settled := time.Now().Add(settle)
	t.until("the focus", func() (bool, error) {
		id, err := world()
		if err != nil {
			return false, err
		}
		f, err = t.look(id)
		return f.Visible || f.Tag == "body" || time.Now().After(settled), err
	})
	return f
}

func (t *Tab) look(world runtime.ExecutionContextID) (Focus, error) {
	found, err := ask(t, runtime.Evaluate, runtime.EvaluateParams{Expression: "document.activeElement || document.documentElement", ContextID: world})
	if err != nil {
		return Focus{}, err
	}
	object := found.Result.ObjectID
	answer, err := ask(t, runtime.CallFunctionOn, runtime.CallFunctionOnParams{FunctionDeclaration: focused, ObjectID: object, ReturnByValue: new(true)})
	if err != nil {
		return Focus{}, err
	}
	if answer.ExceptionDetails != nil {
		return Focus{}, fmt.Errorf("script: %s%s", answer.ExceptionDetails.Text, described(answer.ExceptionDetails))
	}
	var shown struct {
		ID, Tag         string
		Place           int
		Visible, Ranked bool
	}
	if err := json.Unmarshal(answer.Result.Value, &shown); err != nil {
		return Focus{}, err
	}
	f := Focus{ID: shown.ID, Tag: shown.Tag, Visible: shown.Visible, place: shown.Place, ranked: shown.Ranked}
	tree, err := ask(t, accessibility.GetPartialAXTree, accessibility.GetPartialAXTreeParams{ObjectID: object, FetchRelatives: new(false)})
	if err != nil {
		return Focus{}, err
	}
	for _, node := range tree.Nodes {
		f.Role, f.Name = told(node.Role), told(node.Name)
	}
	return f, nil
}

// told is a property of the accessibility tree.
func told(v *accessibility.Value) string {
	var text string
	if v != nil {
		_ = json.Unmarshal(v.Value, &text) // what is no string is not told
	}
	return text
}

// controls lists what can be operated on the page now, in the order of the document: in an open modal dialog, or
// else everywhere. Radio buttons of one name are one control. A copy that aria-hidden takes away from everybody, and
// the parts of a widget that moves the focus among them by itself, need not be reached.
const controls = `(() => {
	const all = [...document.querySelectorAll("*")];
	const operable = "a[href],area[href],button,input:not([type=hidden]),select,textarea,summary,iframe,[contenteditable=''],[contenteditable=true],[tabindex]:not([tabindex^='-'])," +
		"[role=button],[role=link],[role=checkbox],[role=radio],[role=switch],[role=textbox],[role=combobox]";
	const groups = {};
	for (const e of [...document.querySelectorAll(":modal")].pop()?.querySelectorAll("*") ?? all) {
		if (!e.matches(operable) || e.matches(":disabled") || e.closest("[inert],[aria-hidden=true]") || !e.checkVisibility({visibilityProperty: true})) continue;
		if (e.localName === "summary" && e.parentElement.querySelector(":scope > summary") !== e) continue;
		if (e.tabIndex < 0 && e.closest("[role=tablist],[role=menu],[role=listbox],[role=tree],[role=grid],[role=radiogroup],[role=toolbar]")) continue;
		const place = all.indexOf(e);
		const group = e.type === "radio" && e.name ? "radio " + e.name + " " + (e.form ? all.indexOf(e.form) : "") : String(place);
		(groups[group] ??= {Name: e.localName + (e.id ? "#" + e.id : "") + " " + (e.innerText || e.value || "").trim().slice(0, 40), Places: []}).Places.push(place);
	}
	return Object.values(groups);
})()`

// Limits of a walk: more presses of the tab key than any page takes, than go by outside of it, which for a frame is
// its page, and than pass through one control.
const (
	walkLimit    = 400
	outsideLimit = 60
	partsLimit   = 8 // of one control, such as the day, the month and the year of a date
)

// Walk goes through the page by the tab key alone until it comes around, and returns where it stopped, in the order
// of the document, and what is wrong: something that can be operated and is not reached, an order that is not the
// document's or is set by tabindex, a focus that is not seen, a place that cannot be left. It walks an open modal dialog
// alone, and passes through frames, which Frame shows. Afterwards nothing has the focus.
func (t *Tab) Walk() (stops []Focus, faults []string) {
	t.b.tb.Helper()
	var expected []struct {
		Name   string
		Places []int
	}
	world, err := t.apart()
	t.must(err)
	t.must(t.scriptIn(world, patience, &expected, controls))
	outside, parts := 0, 0 // since the last element
	for pressed := 0; outside < outsideLimit; pressed++ {
		if pressed == walkLimit {
			t.b.tb.Fatalf("chromium: the tab key does not come around (at %s)", t.where())
		}
		t.Press("Tab")
		f := t.focusedIn(func() (runtime.ExecutionContextID, error) { return world, nil })
		if f.Tag == "body" || f.Tag == "html" {
			outside++
			continue
		}
		if len(stops) > 0 && stops[len(stops)-1].place == f.place && outside == 0 && (parts < partsLimit || f.Tag == "iframe") {
			parts++
			continue
		}
		outside, parts = 0, 0
		if back := slices.IndexFunc(stops, func(s Focus) bool { return s.place == f.place }); back >= 0 {
			if back > 0 {
				faults = append(faults, fmt.Sprintf("the tab key goes from %s back to %s", stops[len(stops)-1], f))
			}
			break
		}
		if !f.Visible {
			faults = append(faults, fmt.Sprintf("%s shows no focus", f))
		}
		stops = append(stops, f)
	}
	t.must(t.scriptIn(world, patience, nil, "document.activeElement?.blur()"))
	if len(stops) > 0 { // where the focus was before, the walk began in the middle
		first := slices.MinFunc(stops, func(a, b Focus) int { return a.place - b.place }).place
		begin := slices.IndexFunc(stops, func(s Focus) bool { return s.place == first })
		stops = slices.Concat(stops[begin:], stops[:begin])
	}
	for i, stop := range stops {
		if stop.ranked {
			faults = append(faults, fmt.Sprintf("%s has a rank in the order of focus", stop))
		}
		if i > 0 && stop.place < stops[i-1].place {
			faults = append(faults, fmt.Sprintf("%s comes after %s, which stands behind it", stop, stops[i-1]))
		}
	}
	for _, e := range expected {
		if !slices.ContainsFunc(stops, func(s Focus) bool { return slices.Contains(e.Places, s.place) }) {
			faults = append(faults, strings.TrimSpace(e.Name)+" is not reached by the tab key")
		}
	}
	return stops, faults
}

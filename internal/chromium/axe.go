package chromium

import (
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
)

// axe is axe-core; axe/NOTICE.txt says which.
//
//go:embed axe/axe.min.js
var axe string

// Violation is a success criterion of WCAG 2.2, level A or AA, that a page does not meet, as axe-core judges.
type Violation struct {
	Rule     string // axe-core's name: "color-contrast"
	Impact   string // minor, moderate, serious or critical
	Help     string // what the rule demands
	Elements []Failing
}

// Failing is an element that breaks a rule.
type Failing struct {
	Selector string // CSS
	HTML     string // its beginning
	Why      string // what would mend it
}

// String tells everything, in lines.
func (v Violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s): %s", v.Rule, v.Impact, v.Help)
	for _, e := range v.Elements {
		fmt.Fprintf(&b, "\n  %s  %s\n    %s", e.Selector, e.HTML, strings.ReplaceAll(e.Why, "\n", "\n    "))
	}
	return b.String()
}

// axeLimit is the time that axe-core has for a page, also on a loaded machine.
const axeLimit = 3 * time.Minute

// axeRun runs the rules of WCAG 2.0 to 2.2, A and AA. That on the size of targets has to be switched on by its name.
// Frames are left out: what is in them is looked at by Frame.
const axeRun = `document.fonts.ready.then(() => axe.run(document, {
	runOnly: {type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
	rules: {"target-size": {enabled: true}},
	resultTypes: ["violations"], iframes: false, preload: false,
})).then(found => found.violations.map(v => ({
	Rule: v.id, Impact: v.impact, Help: v.help,
	Elements: v.nodes.map(n => ({Selector: n.target.flat().join(" "), HTML: n.html.slice(0, 200), Why: n.failureSummary})),
})))`

// axeUntimed is for a browser with scripts switched off, in which no timer fires. axe-core waits by timers only to let
// others run in between.
const axeUntimed = `;globalThis.setTimeout = then => { queueMicrotask(then); return 0 }`

// Axe runs axe-core on what the page shows now, and returns what is wrong with it. It runs beside the page's own
// scripts, in a world where the page's content security policy does not count; the page does not notice. Elements noscript are passed over.
func (t *Tab) Axe() []Violation {
	t.b.tb.Helper()
	var found []Violation
	t.until("axe-core", func() (bool, error) { // a page that loads itself again takes it along
		world, err := t.apart()
		if err != nil {
			return false, err
		}
		var ready, there bool
		if err := t.scriptIn(world, patience, &ready, `document.readyState === "complete"`); err != nil || !ready {
			return false, err
		}
		if err := t.scriptIn(world, patience, &there, `typeof axe !== "undefined"`); err != nil {
			return false, err
		}
		if !there {
			source := axe
			if t.b.options.NoScript {
				source += axeUntimed
			}
			if err := t.scriptIn(world, axeLimit, nil, source); err != nil {
				return false, err
			}
		}
		err = t.scriptIn(world, axeLimit, &found, axeRun)
		return err == nil, err
	})
	return found
}

// apart is a world of our own in the page or frame, which shares its document and none of its scripts.
func (t *Tab) apart() (runtime.ExecutionContextID, error) {
	if t.page != nil {
		return t.world()
	}
	tree, err := ask(t, page.GetFrameTree, none)
	if err != nil {
		return 0, err
	}
	world, err := ask(t, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: tree.FrameTree.Frame.ID, WorldName: "test"})
	return world.ExecutionContextID, err
}

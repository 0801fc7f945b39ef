package chromium

import (
	"errors"
	"fmt"

	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
)

// Frame is a view of the tab whose methods act in a frame of its page: the element that the CSS selector
// finds, again for each call, since what is in it may change. The frame must be of the page's own site, which
// another port does not change; other sites' frames have processes of their own.
func (t *Tab) Frame(selector string) *Tab {
	return &Tab{b: t.b, ctx: t.ctx, close: t.close, frame: selector, page: t}
}

// world is where expressions are to be evaluated: zero in the page itself.
func (t *Tab) world() (runtime.ExecutionContextID, error) {
	if t.page == nil {
		return 0, nil
	}
	found, err := ask(t, runtime.Evaluate, runtime.EvaluateParams{Expression: "document.querySelector(" + quoted(t.frame) + ")"})
	if err != nil {
		return 0, err
	}
	if found.Result == nil || found.Result.ObjectID == "" {
		return 0, fmt.Errorf("no frame %s", t.frame)
	}
	described, err := ask(t, dom.DescribeNode, dom.DescribeNodeParams{ObjectID: found.Result.ObjectID})
	if err != nil {
		return 0, err
	}
	if described.Node == nil || described.Node.FrameID == "" {
		return 0, errors.New(t.frame + " is no frame")
	}
	world, err := ask(t, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: described.Node.FrameID, WorldName: "test"})
	return world.ExecutionContextID, err
}

// corner is where the frame begins in the window.
func (t *Tab) corner() (point, error) {
	var at point
	if t.page == nil {
		return at, nil
	}
	err := t.page.script(&at, "(r => ({X: r.left, Y: r.top}))(document.querySelector("+quoted(t.frame)+").getBoundingClientRect())")
	return at, err
}

package chromium

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Options are what one browser differs in. The zero value is a Korean desktop browser with scripts that
// may go nowhere.
type Options struct {
	Hosts    []string // host:port that its pages may ask for anything
	Language string   // Accept-Language; "ko-KR" if empty
	NoScript bool     // JavaScript is switched off
	Record   bool     // requests are kept whole; see Browser.Requests
}

// Browser is one person's browser: cookies and tabs of its own.
type Browser struct {
	tb      TB
	options Options
	first   context.Context // of the first tab, which owns what the tabs share

	mu       sync.Mutex
	faults   []string
	requests []*recorded
	wire     map[network.RequestID][]string // header fields as they were sent
}

// New opens a browser, which is closed when the test ends. What it recorded fails the test then. Without
// Chromium the test fails at once.
func New(tb TB, options Options) *Browser {
	tb.Helper()
	if options.Language == "" {
		options.Language = "ko-KR"
	}
	b := &Browser{tb: tb, options: options, wire: make(map[network.RequestID][]string)}
	tb.Cleanup(func() {
		for _, fault := range b.Faults() {
			tb.Errorf("chromium: %s", fault)
		}
	})
	return b
}

// Faults lists what was recorded so far.
func (b *Browser) Faults() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.faults)
}

func (b *Browser) fault(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if text := fmt.Sprintf(format, args...); !slices.Contains(b.faults, text) {
		b.faults = append(b.faults, text)
	}
}

// Tab opens a tab.
func (b *Browser) Tab() *Tab {
	b.tb.Helper()
	t := &Tab{b: b}
	parent := b.first
	options := []chromedp.ContextOption{chromedp.WithListener(t.listen)}
	if parent == nil {
		var err error
		if parent, err = start(); err != nil {
			b.tb.Fatalf("%v", err)
		}
		options = append(options, chromedp.WithNewBrowserContext())
	}
	ctx, cancel := chromedp.NewContext(parent, options...)
	b.tb.Cleanup(cancel)
	t.ctx, t.close = ctx, cancel
	if b.first == nil {
		b.first = ctx
	}
	// The first command opens the tab, which lives as long as that command's context.
	t.must(chromedp.Do(ctx))
	t.must(call(t, log.Enable, none))
	t.must(call(t, network.Enable, network.EnableParams{MaxPostDataSize: new(maxBody)}))
	t.must(call(t, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": b.options.Language}}))
	t.must(call(t, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}))
	if b.options.NoScript {
		t.must(call(t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	}
	return t
}

// listen records what is wrong, and remembers the status of the tab's page.
func (t *Tab) listen(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err != nil || u.Host != "" && !slices.Contains(t.b.options.Hosts, u.Host) {
			t.b.fault("a request to another host: %s", e.Request.URL)
		}
		t.b.record(e)
	case *network.EventRequestWillBeSentExtraInfo:
		t.b.recordHeaders(e)
	case *network.EventWebSocketCreated:
		t.b.fault("a web socket: %s", e.URL) // what goes over it is no request
	case *network.EventWebTransportCreated:
		t.b.fault("a web transport: %s", e.URL)
	case *network.EventResponseReceived:
		if e.Type == network.ResourceTypeDocument {
			t.status.Store(e.Response.Status)
		} else if e.Response.Status >= 400 {
			t.b.fault("%s answered %d", e.Response.URL, e.Response.Status)
		}
	case *network.EventLoadingFailed:
		if e.BlockedReason != "" {
			t.b.fault("a %s was blocked: %s", e.Type, e.BlockedReason)
		}
	case *runtime.EventConsoleAPICalled:
		switch e.Type {
		case runtime.ConsoleAPICalledTypeError, runtime.ConsoleAPICalledTypeWarning, runtime.ConsoleAPICalledTypeAssert:
			words := make([]string, 0, len(e.Args))
			for _, arg := range e.Args {
				words = append(words, string(arg.Value)+arg.Description)
			}
			t.b.fault("console %s: %s", e.Type, strings.Join(words, " "))
		}
	case *runtime.EventExceptionThrown:
		t.b.fault("exception: %s", e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		// What the network says about pages is theirs to expect; about everything else it is above.
		if e.Entry.Source != log.EntrySourceNetwork && (e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning) {
			t.b.fault("%s %s: %s", e.Entry.Source, e.Entry.Level, e.Entry.Text)
		}
	}
}

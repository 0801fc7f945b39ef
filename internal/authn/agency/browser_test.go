package agency_test

import (
	"encoding/json"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/chromium"
	"github.com/anyid/anyid/internal/method"
)

func TestMain(m *testing.M) {
	code := m.Run()
	chromium.Stop()
	os.Exit(code)
}

// TestRealBrowser goes through each window in a browser that keeps to content security policies, and comes back by GET
// and by POST.
func TestRealBrowser(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		api string
		by  method.Method
	}{{nice, method.Phone}, {nice, method.IPIN}, {checkPlus, method.Phone}, {kcb, method.Phone}, {danal, method.Phone}} {
		t.Run(tt.api+" "+string(tt.by), func(t *testing.T) {
			t.Parallel()
			b := start(t, options{api: tt.api, method: tt.by})
			agencies, institution := strings.TrimPrefix(b.url, "http://"), strings.TrimPrefix(b.site, "http://")
			tab := chromium.New(t, chromium.Options{Hosts: []string{agencies, institution}}).Tab()
			at := b.attempt()
			started, err := b.Begin(t.Context(), at, authn.Input{})
			if err != nil {
				t.Fatal(err)
			}
			at.Private = started.Private
			if started.Window.Fields == nil {
				tab.Open(started.Window.URL)
			} else {
				to, err := json.Marshal(started.Window)
				b.must(err)
				tab.Open(b.site + "/go?to=" + url.QueryEscape(string(to)))
				tab.Follow("go")
			}
			if tt.by == method.IPIN {
				tab.Fill("ipin-id", hong.IPIN.ID)
				tab.Fill("ipin-password", hong.IPIN.Password)
				tab.Follow("confirm-ipin")
			} else {
				tab.Click("carrier-skt")
				tab.Fill("name", hong.Name)
				tab.Fill("birth", strings.ReplaceAll(hong.BirthDate, "-", ""))
				tab.Fill("phone", hong.Phone)
				tab.Click("agree")
				tab.Follow("send-code")
				tab.Fill("code", b.sim.Messages(hong.Phone)[0].Code)
				tab.Follow("confirm-code")
			}
			if tab.Has("window-return") {
				tab.Follow("window-return")
			}
			returned := b.lastReturn.Load()
			if returned == nil {
				t.Fatalf("the browser is at %s", tab.URL())
			}
			if e, err := b.Finish(t.Context(), at, *returned); err != nil || e.CI != hong.CI {
				t.Fatal(err)
			}
		})
	}
}

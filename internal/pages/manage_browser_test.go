package pages

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/a-h/templ"

	"github.com/anyid/anyid/internal/chromium"
	"github.com/anyid/anyid/internal/web"
)

// timed serves a page of 사용자 관리 with as many seconds left as its address says, and extends them as told.
type timed struct {
	base, host string
	extended   atomic.Int64 // seconds; 0: too late
	asked      atomic.Int64
}

func newTimed(t *testing.T) *timed {
	t.Helper()
	s := new(timed)
	v := newViews(t, sampleBranding())
	mux := http.NewServeMux()
	mux.Handle("GET "+web.AssetPrefix, web.Assets())
	mux.HandleFunc("GET /manage/sites", func(w http.ResponseWriter, r *http.Request) {
		seconds, err := strconv.Atoi(r.URL.Query().Get("seconds"))
		if err != nil {
			seconds = 600
		}
		v.Uses(w, r, 200, UsesView{Page: Page{Verified: &Verification{Seconds: seconds, Ends: "15:04", Page: "sites"}}})
	})
	mux.HandleFunc("POST /manage/extend", func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		left := s.extended.Load()
		switch {
		case r.FormValue("page") != "sites":
			w.WriteHeader(http.StatusBadRequest)
		case !strings.Contains(r.Header.Get("Accept"), "application/json"):
			http.Redirect(w, r, "/manage/sites", http.StatusSeeOther)
		case left == 0:
			w.WriteHeader(http.StatusGone)
		default:
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"seconds":%d,"ends":"16:05"}`, left)
		}
	})
	mux.HandleFunc("GET /manage/closed", func(w http.ResponseWriter, r *http.Request) {
		v.ManageClosed(w, r, 200, ManageClosedView{Why: Lapsed, AgainURL: pageOf(r.URL.Query().Get("lapsed"))})
	})
	mux.HandleFunc("POST /manage/close", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/manage/closed", http.StatusSeeOther)
	})
	server := httptest.NewServer(web.Edge{Log: slog.New(slog.DiscardHandler)}.Handler(mux))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	check(t, err)
	s.base, s.host = server.URL, u.Host
	return s
}

const (
	warningOpen = `String(document.getElementById("session-warning").open)`
	focused     = `document.activeElement.id`
)

// until waits for the expression to be the value.
func until(t *testing.T, tab *chromium.Tab, expression, want string) {
	t.Helper()
	var got string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(25 * time.Millisecond) {
		if got = tab.Value(expression); got == want {
			return
		}
	}
	t.Fatalf("%s is %q, want %q", expression, got, want)
}

// TestSessionWarning: the page warns before the time is over, in a dialog that takes the focus and gives it back, and
// extends the time as the server says.
func TestSessionWarning(t *testing.T) {
	t.Parallel()
	s := newTimed(t)
	tab := chromium.New(t, chromium.Options{Hosts: []string{s.host}}).Tab()
	tab.Open(s.base + "/manage/sites?seconds=600")
	if tab.Value(warningOpen) != "false" {
		t.Fatal("the warning comes too early")
	}

	tab.Open(s.base + "/manage/sites?seconds=59")
	until(t, tab, warningOpen, "true")
	if left := tab.Text("session-left"); left != "남은 시간 약 60초" && left != "남은 시간 약 50초" {
		t.Errorf("what is left: %q", left)
	}
	if tab.Value(`document.getElementById("session-left").getAttribute("aria-live")`) != "polite" {
		t.Error("what is left is not told politely")
	}
	if id := tab.Value(focused); id != "session-extend" {
		t.Errorf("the focus is on %q", id)
	}
	s.extended.Store(600)
	tab.Click("session-extend")
	until(t, tab, warningOpen, "false")
	if ends := tab.Text("session-ends"); ends != "16:05" {
		t.Errorf("the page says %q", ends)
	}
	if id := tab.Value(`document.activeElement.closest("dialog") ? "inside" : "outside"`); id != "outside" {
		t.Error("the focus stays in the dialog")
	}

	// Where the longest time is reached, it says so.
	tab.Open(s.base + "/manage/sites?seconds=30")
	until(t, tab, warningOpen, "true")
	s.extended.Store(45)
	tab.Click("session-extend")
	until(t, tab, `document.getElementById("session-left").textContent.includes("더 연장할 수 없습니다") ? "yes" : "no"`, "yes")

	// By the keyboard: escape puts the warning away, and the time goes on.
	tab.Open(s.base + "/manage/sites?seconds=30")
	until(t, tab, warningOpen, "true")
	tab.Type("\x1b")
	until(t, tab, warningOpen, "false")

	tab.Open(s.base + "/manage/sites?seconds=40")
	until(t, tab, warningOpen, "true")
	tab.Follow("session-logout")
	if at := tab.URL(); at != s.base+"/manage/closed" {
		t.Errorf("signed out at %s", at)
	}
}

// TestSessionLapses: when the time is over the page goes away, and says how to come back.
func TestSessionLapses(t *testing.T) {
	t.Parallel()
	s := newTimed(t)
	browser := chromium.New(t, chromium.Options{Hosts: []string{s.host}})
	tab := browser.Tab()
	tab.Open(s.base + "/manage/sites?seconds=2")
	tab.Wait("manage-again")
	if at := tab.URL(); at != s.base+"/manage/closed?lapsed=sites" {
		t.Errorf("at %s", at)
	}
}

// TestSessionWithoutScript: the page says when its time is over, and its button extends it.
func TestSessionWithoutScript(t *testing.T) {
	t.Parallel()
	s := newTimed(t)
	tab := chromium.New(t, chromium.Options{Hosts: []string{s.host}, NoScript: true}).Tab()
	tab.Open(s.base + "/manage/sites?seconds=59")
	if ends := tab.Text("session-ends"); ends != "15:04" {
		t.Errorf("the page says %q", ends)
	}
	tab.Follow("session-extend-now")
	if s.asked.Load() != 1 || tab.URL() != s.base+"/manage/sites" {
		t.Errorf("asked %d times, at %s", s.asked.Load(), tab.URL())
	}
}

// TestFrames: the page loads the frames of the sites, and then goes on: by its script, or by its link.
func TestFrames(t *testing.T) {
	t.Parallel()
	for _, script := range []bool{true, false} {
		t.Run(fmt.Sprintf("script=%t", script), func(t *testing.T) {
			t.Parallel()
			v := newViews(t, sampleBranding())
			var loaded atomic.Int64
			mux := http.NewServeMux()
			mux.Handle("GET "+web.AssetPrefix, web.Assets())
			mux.HandleFunc("GET /front", func(w http.ResponseWriter, _ *http.Request) {
				loaded.Add(1)
				w.Header().Set("Content-Type", "text/html")
				w.Header().Del("Content-Security-Policy")
				fmt.Fprint(w, "<!doctype html><title>out</title>")
			})
			mux.HandleFunc("GET /done", func(w http.ResponseWriter, r *http.Request) { v.Fail(w, r, 200, string(ErrDone)) })
			mux.HandleFunc("GET /out", func(w http.ResponseWriter, r *http.Request) {
				base := "http://" + r.Host
				check(t, web.AllowFrames(w, base))
				v.LoggedOut(w, r, 200, LoggedOutView{
					Frames: []templ.SafeURL{templ.SafeURL(base + "/front?1"), templ.SafeURL(base + "/front?2")}, ContinueURL: templ.SafeURL(base + "/done"),
				})
			})
			server := httptest.NewServer(web.Edge{Log: slog.New(slog.DiscardHandler)}.Handler(mux))
			t.Cleanup(server.Close)
			u, err := url.Parse(server.URL)
			check(t, err)
			tab := chromium.New(t, chromium.Options{Hosts: []string{u.Host}, NoScript: !script}).Tab()
			tab.Open(server.URL + "/out")
			if !script { // a page that goes on by itself cannot be stopped then (WCAG §2.2.1)
				tab.Follow("logout-continue")
			}
			tab.Wait("error-code")
			if loaded.Load() < 2 || !strings.HasSuffix(tab.URL(), "/done") {
				t.Errorf("%d frames were loaded, at %s", loaded.Load(), tab.URL())
			}
		})
	}
}

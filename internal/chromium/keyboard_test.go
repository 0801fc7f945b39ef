package chromium_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/anyid/anyid/internal/chromium"
)

func TestKeyboardAlone(t *testing.T) {
	t.Parallel()
	base, host := pages(t, map[string]string{
		"/": `<a id=skip href="#m">본문</a><main id=m tabindex=-1><form action="/next"><label for=a>이름</label><input id=a name=a>
			<input type=radio name=r id=r1 value=1 aria-label=하나><input type=radio name=r id=r2 value=2 aria-label=둘>
			<input type=checkbox id=c name=c aria-label=네><details><summary id=s>더</summary><a id=inside href="/x">안</a></details>
			<button id=off disabled>x</button><button id=go>다음</button><button type=button aria-hidden=true tabindex=-1>x</button></form></main>`,
		"/next":    `<p id=q>next</p>`,
		"/focused": `<a id=one href="/x">x</a><input id=two autofocus aria-label=b><a id=three href="/x">x</a>`,
		"/modal":   `<button id=behind>b</button><dialog id=d aria-label=d><button id=in>i</button></dialog><script>document.getElementById("d").showModal()</script>`,
		"/framed":  `<a id=before href="/x">x</a><iframe id=frame src="/focused" title=f></iframe><a id=after href="/x">x</a>`,
		"/parts":   `<a id=before href="/x">x</a><input type=date id=date autofocus aria-label=d><a id=after href="/x">x</a>`,
		"/none":    `<p>nothing here</p>`,
	})
	tab := chromium.New(t, chromium.Options{Hosts: []string{host}}).Tab()
	walk := func(path, want string) {
		t.Helper()
		tab.Open(base + path)
		stops, faults := tab.Walk()
		var ids []string
		for _, s := range stops {
			ids = append(ids, s.ID)
		}
		if got := strings.Join(ids, " "); got != want || len(faults) != 0 {
			t.Errorf("%s: stops %q, faults %q", path, got, faults)
		}
	}
	walk("/", "skip a r1 c s go")
	walk("/focused", "one two three")
	walk("/modal", "in")
	walk("/none", "")
	walk("/parts", "before date after")
	walk("/framed", "before frame after")
	if f := tab.Focused(); f.Tag != "body" {
		t.Errorf("the focus stays at %s", f)
	}
	stops, faults := tab.Frame("iframe").Walk()
	if len(stops) != 3 || stops[0].ID != "one" || stops[2].ID != "three" || len(faults) != 0 {
		t.Errorf("in the frame: stops %v, faults %q", stops, faults)
	}

	tab.Open(base)
	tab.Press("Tab", "Tab")
	if f := tab.Focused(); f.ID != "a" || f.Tag != "input" || f.Role != "textbox" || f.Name != "이름" || !f.Visible {
		t.Errorf("%s, visible: %t", f, f.Visible)
	}
	tab.Insert("김하늘")
	tab.Press("Tab", "ArrowDown", "Tab", "Space", "Tab", "Enter", "Tab")
	if f := tab.Focused(); f.String() != `a#inside (link "안")` {
		t.Errorf("opened: %s", f)
	}
	tab.Press("Shift+Tab", "Shift+Tab")
	if f := tab.Focused(); f.ID != "c" {
		t.Errorf("back: %s", f)
	}
	tab.Press("Tab", "Tab", "Tab", "Space")
	tab.Wait("q")
	if got, want := tab.Value("location.search"), "?a=%EA%B9%80%ED%95%98%EB%8A%98&r=2&c=on"; got != want {
		t.Errorf("sent %s", got)
	}
	if f := tab.Focused(); f.Tag != "body" || f.Visible {
		t.Errorf("nothing has the focus, but %s", f)
	}
}

func TestKeyboardFaultsAreFound(t *testing.T) {
	t.Parallel()
	const links = `<a id=one href="/x">x</a> <a id=two href="/x">x</a> `
	tests := map[string]struct {
		body string
		want []string
	}{
		"no ring":      {`<style>#two{outline:0}</style>` + links, []string{`a#two (link "x") shows no focus`}},
		"clear ring":   {`<style>#two{outline-color:transparent}</style>` + links, []string{`a#two (link "x") shows no focus`}},
		"off screen":   {`<style>#two{position:fixed;left:-500px}</style>` + links, []string{`a#two (link "x") shows no focus`}},
		"covered":      {`<style>p{position:fixed;inset:0;margin:0;background:#fff}</style>` + links + `<p>x</p>`, []string{`a#one (link "x") shows no focus`, `a#two (link "x") shows no focus`}},
		"out of order": {links + `<a id=three href="/x" tabindex=1>x</a>`, []string{`a#three (link "x") has a rank`}},
		"not reached":  {links + `<a id=three href="/x" tabindex=-1>three</a>`, []string{"a#three three is not reached by the tab key"}},
		"mouse only":   {links + `<div id=three role=button>three</div>`, []string{"div#three three is not reached by the tab key"}},
		"trap": {links + `<script>two.onkeydown = e => { if (e.key === "Tab") e.preventDefault() }</script><a id=three href="/x">three</a>`, []string{
			`the tab key goes from a#two (link "x") back to a#two (link "x")`, "a#three three is not reached by the tab key",
		}},
		"label's ring":  {`<style>#i{position:absolute;opacity:0}#i:focus-visible+label{outline:2px solid}</style><input type=checkbox id=i><label for=i>x</label>`, []string{}},
		"holder's ring": {`<style>#i{outline:0}p:has(:focus-visible){outline:2px solid}</style><p><input type=checkbox id=i aria-label=x></p>`, []string{}},
	}
	bodies := map[string]string{}
	for name, tt := range tests {
		bodies["/"+strings.NewReplacer(" ", "-", "'", "").Replace(name)] = tt.body
	}
	base, host := pages(t, bodies)
	tab := chromium.New(t, chromium.Options{Hosts: []string{host}}).Tab()
	for name, tt := range tests {
		tab.Open(base + "/" + strings.NewReplacer(" ", "-", "'", "").Replace(name))
		_, faults := tab.Walk()
		if len(faults) != len(tt.want) || !slices.EqualFunc(faults, tt.want, strings.HasPrefix) {
			t.Errorf("%s: %q, want %q", name, faults, tt.want)
		}
	}
}

package web

import (
	"fmt"
	"html/template"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func TestRenderer(t *testing.T) {
	t.Parallel()
	fsys := fstest.MapFS{
		"a.html":    {Data: []byte(`{{define "page"}}<p title="{{t "greeting"}}">{{t "greeting"}} {{shout .Name}}</p>{{icon "check"}}{{end}}`)},
		"note.txt":  {Data: []byte(`{{t "not read"}}`)},
		"b/c.html":  {Data: []byte(`{{define "broken"}}half {{.Missing}}{{end}}`)},
		"css.html":  {Data: []byte(`{{define "css"}}<link rel="stylesheet" href="{{asset "anyid.css"}}">{{end}}`)},
		"empty.htm": {Data: []byte(`{{`)},
	}
	texts := map[string]Texts{
		Korean:  {"greeting": "{{.Name}} 님"},
		English: {"greeting": `{{t "dear"}} {{.Name}}`, "dear": "Dear"},
	}
	shout := template.FuncMap{"shout": strings.ToUpper}
	r, err := NewRenderer(fsys, texts, map[string]template.FuncMap{Korean: shout, English: shout})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if err := r.Render(w, 201, English, "page", map[string]string{"Name": `a"<b`}); err != nil {
		t.Fatal(err)
	}
	body := w.Body.String()
	if w.Code != 201 || !strings.HasPrefix(body, `<p title="Dear a&#34;&lt;b">Dear a&#34;&lt;b A&#34;&lt;B</p><svg class="icon"`) {
		t.Errorf("%d %s", w.Code, body)
	}
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%v", w.Header())
	}
	w = httptest.NewRecorder()
	if err := r.Render(w, 200, Korean, "broken", struct{}{}); err == nil || w.Body.Len() != 0 || len(w.Header()) != 0 {
		t.Errorf("broken page: %v, wrote %q", err, w.Body)
	}
	if err := r.Render(w, 200, Korean, "none", nil); err == nil {
		t.Error("unknown page is rendered")
	}
	css, err := Asset("anyid.css")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Render(w, 200, Korean, "css", nil); err != nil || !strings.Contains(w.Body.String(), css) {
		t.Errorf("%v %s", err, w.Body)
	}
}

func TestRendererRefuses(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`{{t "none"}}`:     "no text",
		`{{t "loop"}}`:     "not defined",
		`{{asset "none"}}`: "no asset",
		`{{if}}`:           "missing value",
	} {
		_, err := NewRenderer(fstest.MapFS{"x.html": {Data: []byte(source)}}, map[string]Texts{Korean: {"loop": `{{t "loop"}}`}}, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", source, err)
		}
	}
}

func TestRenderAlike(t *testing.T) {
	t.Parallel()
	const first, second = "aaaaaaaaaaaaaaaaaaaaaaaaaa", "b-b_bbbbbbbbbbbbbbbbbbbbbb"
	rendered := 0
	count := template.FuncMap{"count": func() string { rendered++; return "" }}
	source := `{{define "page"}}{{count}}<a href="{{.URL}}">{{.Name}}</a><a href="{{.URL}}/x?y={{.URL}}">{{end}}{{define "broken"}}{{.Missing}}{{end}}`
	r, err := NewRenderer(fstest.MapFS{"a.html": {Data: []byte(source)}}, map[string]Texts{Korean: {}, English: {}}, map[string]template.FuncMap{Korean: count, English: count})
	if err != nil {
		t.Fatal(err)
	}
	type data struct{ Name, URL string }
	for _, step := range []struct {
		locale, name, id string
		times            int // rendered by then
	}{
		{Korean, "큐넷", first, 1},
		{Korean, "큐넷", second, 1},
		{Korean, "큐넷", first, 1},
		{Korean, `<b>"`, first, 2},
		{English, "큐넷", second, 3},
		{English, "큐넷", first, 3},
		{Korean, first, first, 4},      // who is called like an id
		{Korean, first, second, 5},     // has a page of their own
		{Korean, "큐넷", "short", 6},     // could be any word
		{Korean, "큐넷", "", 7},          // no id
		{Korean, "큐넷", first + "<", 8}, // is written differently in HTML
	} {
		d := data{step.name, "/login/" + step.id}
		got, want := httptest.NewRecorder(), httptest.NewRecorder()
		if err := r.RenderAlike(got, 201, step.locale, "page", &d, step.id); err != nil {
			t.Fatal(err)
		}
		if rendered != step.times {
			t.Errorf("%+v: rendered %d times", step, rendered)
		}
		if err := r.Render(want, 201, step.locale, "page", &d); err != nil {
			t.Fatal(err)
		}
		rendered = step.times
		if got.Code != want.Code || got.Body.String() != want.Body.String() || fmt.Sprint(got.Header()) != fmt.Sprint(want.Header()) {
			t.Errorf("%+v: %d %v\n%s\nwant\n%s", step, got.Code, got.Header(), got.Body, want.Body)
		}
	}
	w := httptest.NewRecorder()
	if err := r.RenderAlike(w, 200, Korean, "broken", &data{}, first); err == nil || w.Body.Len() != 0 {
		t.Errorf("broken page: %v, wrote %q", err, w.Body)
	}
	if err := r.RenderAlike(w, 200, Korean, "page", func() {}, first); err == nil || w.Body.Len() != 0 {
		t.Errorf("data without JSON: %v, wrote %q", err, w.Body)
	}
}

func TestMemoIsBounded(t *testing.T) {
	t.Parallel()
	m := memo[int]{limit: 3}
	for i := range 100 {
		m.put(fmt.Sprint(i), i)
		if v, ok := m.get(fmt.Sprint(i)); !ok || v != i || len(m.held) > 3 {
			t.Fatalf("%d: %d, %t, %d held", i, v, ok, len(m.held))
		}
	}
	if _, ok := m.get("0"); ok {
		t.Error("nothing is forgotten")
	}
}

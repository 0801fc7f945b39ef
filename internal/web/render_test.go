package web

import (
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

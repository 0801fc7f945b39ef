package chromium_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/anyid/anyid/internal/chromium"
)

func TestAxeFinds(t *testing.T) {
	t.Parallel()
	const good = `<!doctype html><html lang=ko><title>로그인</title><link rel=icon href=data:,><body>
		<h1>로그인</h1><p>이름을 적어 주세요.</p><form><label for=a>이름</label> <input id=a name=a autocomplete=name> <button id=b>다음</button></form>
		<iframe title="안" src="/inner"></iframe>`
	const inner = `<!doctype html><html lang=ko><title>안</title><body><img id=i src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=">`
	bad := strings.NewReplacer(
		` lang=ko`, ``, `<label for=a>이름</label>`, ``, `<p>`, `<p id=pale style="color:#999">`,
		`<button id=b>`, `<button id=tiny style="width:14px;height:14px;padding:0;border:0"></button><button id=b style="height:14px;padding:0;border:0">`,
	).Replace(good)
	off := good + `<p id=n style="color:#999">pale</p><p id=s></p><script>s.textContent = "on"; setTimeout(() => s.textContent = "late")</script>`
	base, host := pages(t, map[string]string{"/good": good, "/strict": good, "/bad": bad, "/inner": inner, "/off": off})
	b := chromium.New(t, chromium.Options{Hosts: []string{host}})
	tab := b.Tab()
	tab.Open(base + "/good")
	if found := tab.Axe(); len(found) != 0 {
		t.Errorf("nothing is wrong, but: %v", found)
	}
	tab.Size(390, 844)
	if found := tab.Axe(); len(found) != 0 {
		t.Errorf("on a phone: %v", found)
	}
	if found := tab.Frame("iframe").Axe(); len(found) != 1 || found[0].Rule != "image-alt" || found[0].Elements[0].Selector != "#i" {
		t.Errorf("in the frame: %v", found)
	}
	if tab.Value("typeof axe") != "undefined" {
		t.Error("the page notices")
	}

	tab.Open(base + "/bad")
	found := tab.Axe()
	for rule, selector := range map[string]string{"html-has-lang": "html", "label": "#a", "color-contrast": "#pale", "button-name": "#tiny", "target-size": "#tiny"} {
		i := slices.IndexFunc(found, func(v chromium.Violation) bool { return v.Rule == rule })
		if i < 0 {
			t.Errorf("not found: %s", rule)
			continue
		}
		v := found[i]
		if text := v.String(); v.Elements[0].Selector != selector || v.Elements[0].Why == "" || v.Impact == "" ||
			!strings.Contains(text, v.Help) || !strings.Contains(text, selector) || !strings.Contains(text, v.Elements[0].HTML) {
			t.Errorf("%s", text)
		}
	}
	if len(found) != 5 {
		t.Errorf("found %v", found)
	}

	silent := chromium.New(t, chromium.Options{Hosts: []string{host}, NoScript: true}).Tab()
	silent.Open(base + "/off")
	for range 2 { // scripts stay off
		if found := silent.Axe(); len(found) != 1 || found[0].Rule != "color-contrast" || found[0].Elements[0].Selector != "#n" {
			t.Errorf("without scripts: %v", found)
		}
	}
	if silent.Text("s") != "" {
		t.Error("scripts run")
	}
}

// TestAxeDespitePolicy: the policy of the page lets no script and no style in.
func TestAxeDespitePolicy(t *testing.T) {
	t.Parallel()
	base, host := pages(t, map[string]string{"/strict": `<input id=a>`})
	r := &recorder{T: t}
	tab := chromium.New(r, chromium.Options{Hosts: []string{host}}).Tab()
	tab.Open(base + "/strict")
	if found := tab.Axe(); len(found) != 1 || found[0].Rule != "label" {
		t.Errorf("found %v", found)
	}
	for line := range strings.SplitSeq(r.end(), "\n") {
		if line != "" && !strings.Contains(line, "data:,") { // the page's own icon
			t.Errorf("recorded %s", line)
		}
	}
}

// TestAxeIsWhatItsNoticeSays keeps the file as it was published.
func TestAxeIsWhatItsNoticeSays(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("axe/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	notice, err := os.ReadFile("axe/NOTICE.txt")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(script)
	_, version, _ := strings.Cut(string(script[:100]), "axe v")
	version, _, _ = strings.Cut(version, "\n")
	if !strings.Contains(string(notice), "SHA-256 "+hex.EncodeToString(sum[:])) || !strings.Contains(string(notice), "axe-core "+version+",") {
		t.Errorf("axe %s, %x", version, sum)
	}
}

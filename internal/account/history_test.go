package account

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
)

// happened writes an event about the person.
func (w *world) happened(c *citizen, at time.Time, action audit.Action, actor, to string, detail map[string]string) audit.Event {
	w.t.Helper()
	e := audit.New(at, action, actor)
	e.Person, e.Site, e.Address, e.Browser, e.Detail = c.Person, to, c.Address, c.Browser, detail
	w.check(w.svc.Audit.Record(w.t.Context(), e))
	return e
}

func TestHistory(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w *world) {
		ctx, c, other := w.t.Context(), w.register("홍길동"), w.register("성춘향")
		at := c.At
		e := w.happened(c, at.Add(time.Second), audit.SiteLogin, audit.Citizen, "qnet", map[string]string{"method": "simple", "provider": "kakao", "level": "2", "grant": "secret", "sso": "joined"})
		w.happened(c, at.Add(2*time.Second), audit.LogoutDelivered, audit.System, "qnet", nil)    // the broker's own affair
		w.happened(c, at.Add(3*time.Second), audit.AccessDenied, audit.Citizen, "", nil)          // and this
		w.happened(other, at.Add(4*time.Second), audit.SiteLogin, audit.Citizen, "qnet", nil)     // another's
		w.happened(c, at.Add(5*time.Second), audit.CIDisclosed, audit.Site("qnet"), "qnet", nil)  // done by a site
		w.happened(c, at.Add(6*time.Second), audit.DisputeClosed, audit.Operator("kim"), "", nil) // by an operator
		w.happened(c, at.Add(7*time.Second), audit.LoginFailed, audit.Citizen, "gone", map[string]string{"code": "expired", "method": "joint_cert"})

		list, next, err := w.svc.History(ctx, c.Visitor, Filter{}, audit.Cursor{}, 100)
		w.check(err)
		if len(list) != 5 || next != (audit.Cursor{}) {
			w.t.Fatalf("history %+v, %v", list, next)
		}
		want := Record{
			ID: e.ID, At: e.At, Action: audit.SiteLogin, Outcome: Success, Site: "qnet", SiteName: "qnet 사이트", Method: method.Simple, Provider: "kakao",
			Level: 2, Address: c.Address, Browser: c.Browser, Detail: map[string]string{"sso": "joined"}, Disputable: true,
		}
		if got := list[3]; !reflect.DeepEqual(got, want) {
			w.t.Errorf("a login: %+v, want %+v", got, want)
		}
		if got := list[0]; got.Outcome != Refused || got.SiteName != "gone" || got.Detail["code"] != "expired" || got.Disputable {
			w.t.Errorf("a failure: %+v", got)
		}
		for _, got := range list[1:3] {
			if got.Address != "" || got.Browser != "" || got.Disputable {
				w.t.Errorf("what others did tells where they are: %+v", got)
			}
		}
		if list[4].Action != audit.PersonRegistered || list[4].Outcome != Change {
			w.t.Errorf("the registration: %+v", list[4])
		}
		english := c.Visitor
		english.Locale = "en"
		if list, _, err = w.svc.History(ctx, english, Filter{Site: "qnet"}, audit.Cursor{}, 100); err != nil || len(list) != 2 || list[0].SiteName != "qnet site" {
			w.t.Errorf("in English: %+v, %v", list, err)
		}

		w.pass(historyDefault - time.Minute)
		if list, _, err = w.svc.History(ctx, c.Visitor, Filter{}, audit.Cursor{}, 100); err != nil || len(list) != 5 {
			w.t.Errorf("%d entries within a year, %v", len(list), err)
		}
		w.pass(time.Minute + 3*time.Second)
		if list, _, err = w.svc.History(ctx, c.Visitor, Filter{From: at.Add(-time.Hour)}, audit.Cursor{}, 100); err != nil || len(list) != 3 {
			w.t.Errorf("%d entries are left after a year, %v", len(list), err)
		}
		w.svc.Retention.History = 24 * time.Hour
		if list, _, err = w.svc.History(ctx, c.Visitor, Filter{}, audit.Cursor{}, 100); err != nil || len(list) != 0 {
			w.t.Errorf("%d entries within a day, %v", len(list), err)
		}
	})
}

// However a history is filtered and cut into pages, each entry comes once, in order; also when many share a moment.
func TestHistoryPages(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w *world) {
		ctx, c := w.t.Context(), w.register("홍길동")
		seed := time.Now().UnixNano()
		w.t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(uint64(seed), 1))
		base := w.clock()
		actions := []audit.Action{audit.SiteLogin, audit.LoginFailed, audit.MethodLinked, audit.LogoutDelivered, audit.AccessDenied, audit.SessionEnded}
		var events []audit.Event
		for range 3*leaf + 17 {
			e := audit.New(base.Add(time.Duration(random.IntN(40))*time.Millisecond), actions[random.IntN(len(actions))], audit.Citizen)
			e.Person, e.Site = c.Person, []string{"qnet", "minwon", ""}[random.IntN(3)]
			e.Detail = map[string]string{"method": []string{"simple", "mobile_id"}[random.IntN(2)]}
			events = append(events, e)
		}
		w.check(w.svc.Audit.Record(ctx, events...))
		w.pass(time.Second)
		all, next, err := w.svc.History(ctx, c.Visitor, Filter{}, audit.Cursor{}, 10_000)
		w.check(err)
		wanted := 1 // the registration
		for _, e := range events {
			if _, ok := entries[e.Action]; ok {
				wanted++
			}
		}
		if len(all) != wanted || next != (audit.Cursor{}) {
			w.t.Fatalf("%d entries, want %d; next %v", len(all), wanted, next)
		}
		pick := func(of ...string) string { return of[random.IntN(len(of))] }
		for range 40 {
			f := Filter{Site: pick("", "qnet", "gone"), Method: method.Method(pick("", "simple")), Outcome: Outcome(pick("", "refused", "change"))}
			if random.IntN(2) == 0 {
				f.From = base.Add(time.Duration(random.IntN(40_000)) * time.Microsecond)
			}
			if random.IntN(2) == 0 {
				f.To = base.Add(time.Duration(random.IntN(40_000)) * time.Microsecond)
			}
			var want, got []Record
			for _, r := range all {
				if f.lets(r) {
					want = append(want, r)
				}
			}
			limit := 1 + random.IntN(leaf+50)
			for after := (audit.Cursor{}); ; {
				page, next, err := w.svc.History(ctx, c.Visitor, f, after, limit)
				w.check(err)
				got = append(got, page...)
				if next == (audit.Cursor{}) {
					break
				}
				if len(page) != limit || len(got) >= len(want) {
					w.t.Fatalf("%+v: a page of %d of %d says that more come, after %d of %d", f, len(page), limit, len(got), len(want))
				}
				after = next
			}
			if len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
				w.t.Fatalf("%+v by %d: %d entries, want %d", f, limit, len(got), len(want))
			}
		}
	})
}

func TestWriteHistory(t *testing.T) {
	t.Parallel()
	here(t, func(w *world) {
		ctx, c := w.t.Context(), w.register("홍길동")
		c.Browser = `=HYPERLINK("http://evil.example","x"),` + "\r\n" + `"@SUM(1)`
		w.happened(c, w.clock().Add(time.Second), audit.SiteLogin, audit.Citizen, "qnet", map[string]string{"method": "simple", "provider": "-kakao", "level": "2"})
		w.pass(2 * time.Second)

		var text bytes.Buffer
		w.check(w.svc.WriteHistory(ctx, &text, c.Visitor, Filter{Site: "qnet"}, CSV))
		lines, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(text.String(), "\ufeff"))).ReadAll()
		w.check(err)
		at := w.clock().Add(-time.Second).In(time.FixedZone("KST", 9*3600)).Format("2006-01-02 15:04:05")
		want := [][]string{
			{"일시", "구분", "결과", "이용사이트", "인증수단", "제공기관", "인증수준", "접속 주소", "브라우저", "상세"},
			{at, "이용사이트 로그인", "성공", "qnet 사이트", "간편인증", "'-kakao", "2", "192.0.2.7", `'=HYPERLINK("http://evil.example","x"),"@SUM(1)`, ""},
		}
		if !reflect.DeepEqual(lines, want) {
			w.t.Errorf("table %q, want %q", lines, want)
		}
		if !strings.HasPrefix(text.String(), "\ufeff일시,") || strings.Count(text.String(), "\r\n") != 2 || strings.Count(text.String(), "\n") != 2 {
			w.t.Errorf("it is not as RFC 4180 and spreadsheets want it: %q", text.String())
		}

		text.Reset()
		w.pass(time.Second)
		w.check(w.svc.WriteHistory(ctx, &text, c.Visitor, Filter{}, JSON))
		var records []Record
		w.check(json.Unmarshal(text.Bytes(), &records))
		list, _, err := w.svc.History(ctx, c.Visitor, Filter{}, audit.Cursor{}, 100)
		w.check(err)
		for i := range list {
			list[i].Disputable = false // is for pages only
		}
		if !reflect.DeepEqual(records, list) || records[0].Action != audit.DataExported || records[0].Detail["format"] != JSON {
			w.t.Errorf("records %+v, want %+v", records, list)
		}

		for _, format := range []string{CSV, JSON} { // nothing to write
			text.Reset()
			w.check(w.svc.WriteHistory(ctx, &text, c.Visitor, Filter{Site: "nowhere"}, format))
			if format == JSON && text.String() != "[]\n" || format == CSV && strings.Count(text.String(), "\n") != 1 {
				w.t.Errorf("empty %s: %q", format, text.String())
			}
			if err := w.svc.WriteHistory(ctx, broken{}, c.Visitor, Filter{}, format); !errors.Is(err, errBroken) {
				w.t.Errorf("%s to nobody: %v", format, err)
			}
		}
		before := len(w.events(c.Person))
		w.want(w.svc.WriteHistory(ctx, &text, c.Visitor, Filter{}, "xlsx"), fault.Invalid)
		if len(w.events(c.Person)) != before {
			w.t.Error("nothing was exported, and the event says so")
		}
	})
}

var errBroken = errors.New("nobody reads")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

// FuzzHarmless holds that no cell of a table is taken for a formula, and that nothing else of it is lost than what a
// table cannot show.
func FuzzHarmless(f *testing.F) {
	for _, cell := range []string{
		"", "Chrome, Windows", "=1+1", "+82", "-1", "@SUM(A1)", "|cmd", "%x", "\t=1", "\r\n=1", "  =1", "\u00a0=1", "\uff1d1", "\ufeff=1", "\u200b=1", "\x00=1",
		"'=1", "a=1", "a\nb", `"quoted"`, "\x80=1", "\u202e=1",
	} {
		f.Add(cell)
	}
	f.Fuzz(func(t *testing.T, cell string) {
		got := harmless(cell)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) {
			t.Fatalf("%q becomes %q", cell, got)
		}
		first := strings.TrimLeftFunc(got, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) })
		if begins, _ := utf8.DecodeRuneInString(first); first != "" && strings.ContainsRune("=+-@|%\uff1d\uff0b\uff0d\uff20", begins) {
			t.Fatalf("%q becomes %q, a formula", cell, got)
		}
		if harmless(got) != got {
			t.Fatalf("%q becomes %q, and then %q", cell, got, harmless(got))
		}
		var text bytes.Buffer
		table := newCSVSheet(&text)
		if err := errors.Join(table.add(Record{Action: audit.SiteLogin, Browser: cell, Provider: cell, SiteName: cell, Detail: map[string]string{"code": cell}}), table.end()); err != nil {
			t.Fatal(err)
		}
		lines, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(text.String(), "\ufeff"))).ReadAll()
		if err != nil || len(lines) != 2 || lines[1][8] != got || lines[1][3] != got {
			t.Fatalf("%q reads %q, %v", cell, lines, err)
		}
	})
}

// Each action is told in words, or deliberately not at all.
func TestEntries(t *testing.T) {
	t.Parallel()
	for action, e := range entries {
		if e.korean == "" || outcomes[e.outcome] == "" {
			t.Errorf("%s has no words: %+v", action, e)
		}
	}
	for action := range disputable {
		if _, ok := entries[action]; !ok {
			t.Errorf("%s can be disputed, and not be seen", action)
		}
	}
}
